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
for pair in git:git gcc:gcc curl:curl; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
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
