#!/bin/sh
# Runs every fuzz target for the time given.
set -eu
for file in $(grep -rl --include='*_test.go' '^func Fuzz' runtime builtins cmd); do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "$name in $(dirname "$file")"
		go test -run xxx -fuzz "^$name\$" -fuzztime "$1" "./$(dirname "$file")" | tail -n 1
	done
done
