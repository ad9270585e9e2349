#!/bin/sh
# The Debian that images of the labs are made from, where no registry is: prints the archive of its files. It is made once,
# as root, and kept by what it is made of. Where packages come from, and by what way, the machine's own apt says.
set -eu

suite=bookworm
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/runner
recipe=$(sha256sum "$0" | cut -c 1-12)
archive=$cache/debian-$recipe.tar
if [ -f "$archive" ]; then
	echo "$archive"
	exit 0
fi
command -v debootstrap >/dev/null || { echo 'debian: debootstrap is missing: make setup installs it' >&2; exit 1; }
test "$(id -u)" = 0 || { echo 'debian: debootstrap needs root' >&2; exit 1; }
mkdir -p "$cache"
work=$(mktemp -d "$cache/debian.XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | awk -v s="$suite" '$2 == s { print $1; exit }')
debootstrap --variant=minbase "$suite" "$work/root" ${mirror:+"$mirror"} >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
apt-config dump | grep -E '^Acquire::(Check|Retries|https?::)' >"$work/root/etc/apt/apt.conf.d/90machine" || true
# An image that is lost half-way is made again: nothing in it needs to be synced. Nobody reads manuals in it.
printf "force-unsafe-io\npath-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n" >"$work/root/etc/dpkg/dpkg.cfg.d/90image"
echo 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin"; };' >"$work/root/etc/apt/apt.conf.d/90image"
chroot "$work/root" apt-get clean
tar -C "$work/root" --numeric-owner --exclude=./dev/* --exclude=./var/lib/apt/lists/* --exclude=./usr/share/doc/* --exclude=./usr/share/man/* \
	--exclude=./usr/share/locale/* -cf "$work/tar" .
mv "$work/tar" "$archive"
echo "$archive"
