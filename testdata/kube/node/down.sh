#!/bin/sh
# down.sh: removes what the nodes have left whose owner has ended: cgroups, and folders in TMPDIR. Their processes, mounts
# and networks have ended with it.
tmp=${TMPDIR:-/tmp}
ended() { # NAME
	[ ! -e "/proc/${1##*-}/exe" ]
}
for _ in $(seq 100); do
	left=
	for at in $(find /sys/fs/cgroup -type d -name 'runner-node-*' -prune); do
		ended "$at" || continue
		find "$at" -depth -type d -exec rmdir {} + 2>/dev/null
		[ ! -d "$at" ] || left=$at
	done
	[ -n "$left" ] || break
	sleep 0.1
done
for at in "$tmp"/runner-node-*; do
	if [ -d "$at" ] && ended "$at"; then rm -rf "$at"; fi
done
[ -z "$left" ] || { echo "a node's processes do not end: $left" >&2; exit 1; }
