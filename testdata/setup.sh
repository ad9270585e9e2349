#!/bin/sh
# Installs what the tests need and is missing; prints each command before it runs. Go itself is asked for, not installed.
set -eu

say() { printf 'setup: %s\n' "$*"; }

if ! command -v go >/dev/null; then
	say 'go is missing: install Go 1.26 or newer'
	exit 1
fi
say "$(go version)"

missing=
for pair in git:git gcc:gcc curl:curl bash:bash zsh:zsh fish:fish zstd:zstd visudo:sudo \
	erl:erlang-base rebar3:rebar3 dockerd:docker.io iptables:iptables debootstrap:debootstrap \
	containerd:containerd runc:runc ip:iproute2 mkfs.btrfs:btrfs-progs; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
# What the Erlang application is built and tested with, and what a kubelet's pods have networks by; a package has no
# program of its own to look for.
if command -v dpkg >/dev/null; then
	for package in erlang-dev erlang-eunit erlang-common-test erlang-tools containernetworking-plugins; do
		dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
	done
fi
test -e /usr/include/stdlib.h || missing="$missing libc6-dev"
if [ -z "$missing" ]; then
	say 'nothing is missing'
	exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	say "missing:$missing; install them (as root, with apt-get: apt-get install$missing)"
	exit 1
fi
say "apt-get install -y --no-install-recommends$missing"
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing
