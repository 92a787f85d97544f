#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# build.sh SOURCE: the Debian packages build from a clean copy of the tree, and lintian finds neither error nor warning.
set -eu
for tool in dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian fakeroot:fakeroot; do
	command -v "${tool%:*}" >/dev/null || { echo "no ${tool%:*}; apt-get install ${tool#*:}"; exit 77; }
done
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/libblkremap"
# Not the build folders, nor what version control keeps.
(cd "$1" && tar -c --exclude='./build*' --exclude=./demo --exclude=./.git --exclude=__pycache__ .) |
	tar -x -C "$place/libblkremap"
cd "$place/libblkremap"
DEB_BUILD_OPTIONS='nocheck parallel=2' dpkg-buildpackage -us -uc >"$place/log" 2>&1 || {
	tail -40 "$place/log"
	exit 1
}
lintian --tag-display-limit 0 --fail-on error,warning "$place"/*.changes
ls "$place"
