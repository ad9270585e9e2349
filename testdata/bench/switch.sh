#!/bin/sh
# Makes a release serve: switch.sh ROOT PORT ID. Ends what runs, switches the link, starts the release.
set -eu
root=$1 port=$2 id=$3

# A zombie has ended, though an init that is slow to reap it lets kill -0 find it for seconds.
alive() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$1/status"; }

if [ -f "$root/pid" ] && pid=$(cat "$root/pid") && kill "$pid" 2>/dev/null; then
	tries=0
	while alive "$pid"; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || kill -9 "$pid"
		sleep 0.05
	done
fi
ln -sfn "releases/$id" "$root/current"
cd "$root/current"
PORT=$port nohup setsid bin/mcpd >>"$root/service.log" 2>&1 </dev/null &
echo $! >"$root/pid"
