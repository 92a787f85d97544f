#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What holds for every verb: help, bad options, operands that are missing, wrong, or no device at all.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

verbs='create info map diff check repair dump restore size merge copy io bench help version completion'
readers='info map check dump merge bench'

exits 0 'help lists the verbs' help
for verb in $verbs; do
	prints "^  $verb " "help names $verb"
done
exits 0 'help goes to stdout' --help
silent 'and nothing to stderr'

for verb in $verbs; do
	exits 0 "$verb --help explains" "$verb" --help
	prints "^usage: blkremap-ctl $verb" "$verb --help shows the usage"
	prints '^example:' "$verb --help has an example"
	exits 0 "help $verb explains" help "$verb"
	exits 2 "$verb refuses an unknown option" "$verb" --no-such-option
	says "blkremap-ctl: $verb: unknown option '--no-such-option'" "$verb names it"
	one_error "$verb says so in one line and a hint"
	quiet "$verb prints no help to stdout then"
done

for verb in create info map diff check repair dump restore size merge copy io bench completion; do
	exits 2 "$verb wants an operand" "$verb"
	one_error "$verb says so in one line and a hint"
done

exits 2 'no verb at all'
one_error 'says so'
exits 2 'an unknown verb' mrege x
says "unknown verb 'mrege'; did you mean 'merge'\?" 'offers the nearest'
exits 2 'a verb that is nothing like any' zzzzzzzz
says "unknown verb 'zzzzzzzz'$" 'offers none'
exits 2 'an option before the verb' --json info
exits 2 'too many operands' info a b
says "unexpected operand 'b'" 'names the first'
exits 2 'an empty operand' info ''

# Options and operands mix; -- ends the options.
make_snapshot 8M
exits 0 'an option after the operand' info vol.blkr --json
json 'j["command"] == "info"' 'is heeded'
cp vol.blkr ./-odd.blkr
exits 0 '-- ends the options' info -- -odd.blkr

for verb in $readers; do
	extra=
	[ "$verb" = bench ] && extra='--time=1'
	[ "$verb" = merge ] && extra=-n
	# shellcheck disable=SC2086
	exits 3 "$verb of nothing" "$verb" $extra missing.img
	says "blkremap-ctl: $verb: missing.img.*No such file" "$verb names it"
	one_error "$verb says so in one line"
	# shellcheck disable=SC2086
	exits 3 "$verb of a stack file that is not there" "$verb" $extra missing.blkr
	says 'missing.blkr' "$verb names it"
	mkdir -p folder
	# shellcheck disable=SC2086
	exits 3 "$verb of a folder" "$verb" $extra folder
	says 'folder' "$verb names it"
	one_error "$verb says so in one line"
done

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	install -m 000 base.img secret.img
	chmod 755 "$work"
	setpriv --reuid=65534 --clear-groups "$ctl" info secret.img >.out 2>.err
	is 'a file that may not be read' test $? -eq 3
	says 'secret.img.*Permission denied' 'says why'
else
	install -m 000 base.img secret.img
	exits 3 'a file that may not be read' info secret.img
	says 'secret.img.*Permission denied' 'says why'
fi

# Whatever may be in a name, a terminal is not moved by it.
evil=$(printf 'a\033[31mb\007c.img')
exits 3 'a name with control bytes' info "$evil"
says 'a\\x1b\[31mb\\x07c.img' 'is escaped'
isnt 'and nothing raw gets through' grep -q "$(printf '\033')" .err

# What was printed into a full disk is not "done".
"$ctl" help >/dev/full 2>.err
is 'a full stdout is a failure' test $? -eq 3
says 'standard output.*No space left' 'which is said'

done_testing
