#!/bin/sh
# The helm that benchmarks compare with: prints its path. It is built once, of its Go module, and kept by what it is made of.
set -eu

cd "$(dirname "$0")/helm"
recipe=$(cat go.mod go.sum | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/runner
program=$cache/helm-$recipe/helm
if [ ! -x "$program" ]; then
	echo 'helm: building helm for the benchmarks, once: 2 to 4 minutes on 2 cores from nothing' >&2
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/helm.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/helm" helm.sh/helm/v4/cmd/helm >&2
	mkdir -p "${program%/*}"
	mv "$work/helm" "$program"
fi
echo "$program"
