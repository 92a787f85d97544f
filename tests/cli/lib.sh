# SPDX-License-Identifier: BSD-3-Clause
# Sourced by every test of blkremap-ctl.  Prints TAP.  $CTL is the program; each test has an empty folder of its own.
#
#	. "$(dirname "$0")/lib.sh"
#	exits 0 'info tells the size' info base.img
#	prints '64.0 MiB' 'in binary units'
#	done_testing
#
# shellcheck shell=sh
set -u
ctl=${CTL:?the program to test}
python=${PYTHON:-python3}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
unset CDPATH
tests=0

pass() {
	tests=$((tests + 1))
	echo "ok $tests - $1"
}

# What the last command said goes into the log, so that a failure on another machine can be understood.
fail() {
	tests=$((tests + 1))
	echo "not ok $tests - $1"
	for stream in out err; do
		[ -f "$work/.$stream" ] && sed "s/^/# $stream: /" "$work/.$stream" | head -20
	done
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# is NAME COMMAND...: COMMAND succeeds.
is() {
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then pass "$name"; else fail "$name"; fi
}

isnt() {
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then fail "$name"; else pass "$name"; fi
}

# exits STATUS NAME ARGUMENT...: runs the program; its output stays for prints, says and json.
exits() {
	wanted=$1 name=$2
	shift 2
	"$ctl" "$@" >"$work/.out" 2>"$work/.err" </dev/null
	status=$?
	if [ $status -eq "$wanted" ]; then
		pass "$name"
	else
		fail "$name"
		echo "# exit status $status, expected $wanted: $*"
	fi
}

prints() { is "$2" grep -Eq -e "$1" "$work/.out"; }
prints_not() { isnt "$2" grep -Eq -e "$1" "$work/.out"; }
says() { is "$2" grep -Eq -e "$1" "$work/.err"; }
silent() { is "$1" test ! -s "$work/.err"; }
quiet() { is "$1" test ! -s "$work/.out"; }
# One error line and at most one hint, nothing else.
one_error() {
	is "$1" awk '/^hint: / { hints++; next } /^blkremap-ctl: / { errors++; next } { other++ }
		END { exit !(errors == 1 && hints <= 1 && !other) }' "$work/.err"
}

# json EXPRESSION NAME: stdout is one JSON object, and the Python expression about it, called j, is true.
json() {
	is "$2" "$python" -c "import json, sys
j = json.load(open('$work/.out'))
sys.exit(not ($1))"
}

# Content, size and time of the last change.
sum_of() {
	cksum <"$1"
	stat -c '%s %y' "$1"
}
remember() {
	for file in "$@"; do
		base=$(basename "$file")
		sum_of "$file" >"$work/.sum.$base"
		cksum <"$file" >"$work/.cksum.$base"
	done
}
untouched() {
	for file in "$@"; do
		sum_of "$file" | cmp -s - "$work/.sum.$(basename "$file")" || {
			fail "$file is untouched"
			return
		}
	done
	pass "untouched: $*"
}

# The same for what was opened for writing and then refused: content and size, but not the time.
intact() {
	for file in "$@"; do
		base=$(basename "$file")
		cksum <"$file" | cmp -s - "$work/.cksum.$base" || {
			fail "$file is intact"
			return
		}
	done
	pass "intact: $*"
}

# A base of so many bytes with something at its beginning and in its middle, and a snapshot of it.
make_base() {
	truncate -s "$1" base.img
	printf 'hello from the origin' | dd of=base.img conv=notrunc status=none
	printf 'in the middle' | dd of=base.img bs=1M seek=4 conv=notrunc status=none
}
make_snapshot() {
	make_base "$@"
	"$ctl" create snapshot --origin base.img --store snap.cow -o vol.blkr >/dev/null || echo "# no snapshot could be made"
}

done_testing() {
	echo "1..$tests"
}
