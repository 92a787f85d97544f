#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# abi.sh LIBRARY INCLUDE DUMP [update]: compare the library's interface, types included, with the dump that is kept.
#
# Added functions are fine, and so is whatever changes inside of opaque types.  Anything else would break a program that
# was built before.  Not in a release yet?  `tests/abi/abi.sh LIBRARY include abi/x86_64.xml update` writes a new dump.
set -eu
library=$1
include=$2
dump=$3
private=$(dirname "$dump")/private.suppr
for tool in abidw abidiff; do
	command -v $tool >/dev/null || { echo "no $tool; apt-get install abigail-tools"; exit 77; }
done
new=$(mktemp)
trap 'rm -f "$new"' EXIT
abidw --exported-interfaces-only --headers-dir "$include" --drop-private-types --no-corpus-path --no-comp-dir-path \
	--no-show-locs --type-id-style hash --suppressions "$private" --out-file "$new" "$library"
if [ "${4:-}" = update ]; then
	cp "$new" "$dump"
	exit 0
fi
abidiff --no-added-syms --suppressions "$private" "$dump" "$new"
