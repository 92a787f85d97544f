# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Shared by tools/demo and tools/test: installs Debian packages that are missing, or says which.  Sourced, not run.
#
#	setup_need PACKAGE...    all of them, or the script ends with 2
#	setup_like PACKAGE...    what can be had of them; what is missing only means that tests are skipped
#
# Installed already: nothing happens, no network is used.  BLKREMAP_NO_INSTALL=1 installs nothing in any case.

# Which of the packages are not installed; nothing where there is no dpkg, since then nobody can tell.
setup_missing() {
	command -v dpkg-query >/dev/null || return 0
	for package; do
		dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || printf '%s ' "$package"
	done
}

setup_install() {
	[ -z "${BLKREMAP_NO_INSTALL:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	echo "installing: $*"
	install='env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends'
	$install "$@" >/dev/null 2>&1 || { apt-get update -qq >/dev/null 2>&1 && $install "$@" >/dev/null 2>&1; }
}

setup_need() {
	missing=$(setup_missing "$@")
	[ -z "$missing" ] && return 0
	# shellcheck disable=SC2086 # a list of words
	setup_install $missing && return 0
	echo "missing: $missing" >&2
	echo "as root: apt-get install $missing" >&2
	exit 2
}

setup_like() {
	missing=$(setup_missing "$@")
	[ -z "$missing" ] && return 0
	# shellcheck disable=SC2086
	setup_install $missing || echo "not there, so some tests are skipped: $missing"
}
