#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh NAME PROGRAM: run an example on small images of its own and look at what it says.
set -eu
name=$1
program=$(realpath "$2")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"

# says TEXT COMMAND...: the command succeeds and its output holds the text
says() {
	text=$1
	shift
	"$@" >out 2>&1 || { cat out; echo "$1 failed"; exit 1; }
	cat out
	grep -qF -e "$text" out || { echo "it should say: $text"; exit 1; }
}

need() {
	PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || { echo "no $1; apt-get install $2"; exit 77; }
}

image() {
	need mke2fs e2fsprogs
	truncate -s 16M "$1"
	PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -L "$2" "$1"
}

case $name in
hello)
	image base.img demo
	says 'label "demo"' "$program" base.img
	;;
apply)
	image base.img old
	image new.img new
	says 'blocks written' "$program" base.img new.img
	cmp base.img new.img
	says '0 blocks written' "$program" base.img new.img
	;;
vmm)
	truncate -s 8M base.img
	truncate -s 1M store.img
	says 'guests are done, 0 errors' "$program" base.img store.img
	# The second boot finds a store and must not format it; the base was never written to.
	says 'guests are done, 0 errors' "$program" base.img store.img
	[ "$(tr -d '\0' <base.img | wc -c)" = 0 ] || { echo 'the base was written to'; exit 1; }
	;;
backup)
	says 'second backup: at one point in time, equal to its snapshots' "$program"
	;;
objects)
	says 'pull: the same objects read back' "$program"
	;;
esac
