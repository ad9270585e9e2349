#!/bin/sh
# The Kubernetes of the labs, all of it in one program: prints its path. It is built once, of Go modules alone, and kept by
# what it is made of. "up.sh path" prints the path and builds nothing.
set -eu

cd "$(dirname "$0")/lab"
# shellcheck disable=SC2046
recipe=$(cat go.mod go.sum $(find cmd -name '*.go' | LC_ALL=C sort) | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/runner
program=$cache/kube-$recipe/labkube
if [ "${1:-}" = path ] || [ -x "$program" ]; then
	echo "$program"
	exit 0
fi
echo 'kube: building Kubernetes for the labs, once: 9 to 12 minutes on 2 cores from nothing, 4 GB of build cache' >&2
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
flags='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
done
mkdir -p "$cache"
work=$(mktemp -d "$cache/kube.XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$work/labkube" ./cmd/labkube >&2
mkdir -p "${program%/*}"
mv "$work/labkube" "$program"
echo "$program"
