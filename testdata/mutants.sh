#!/bin/sh
# Four ways to break the promise, each behind a build tag. The crash suite must fail for every one of them: a suite
# that a mutant passes proves nothing.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for mutant in nosync late local torn; do
	if go test -tags "mutant_$mutant" -count 1 -failfast -run 'TestMutant|TestPower|TestKill|TestMachineB|TestTorn' ./cmd/runner ./runtime/journal >"$out" 2>&1; then
		echo "mutant $mutant: the suite passes, and it must not"
		exit 1
	fi
	if ! grep -q -- '--- FAIL' "$out"; then
		cat "$out"
		echo "mutant $mutant: the suite did not run"
		exit 1
	fi
	echo "mutant $mutant: caught by $(grep -c -- '--- FAIL' "$out") tests"
done
