#!/bin/sh
# Deploys a program as a careful shell script does: deploy.sh ROOT PORT PROGRAM VERSION. It keeps releases beside each
# other, switches a link, restarts, and waits for health. It promises nothing when it is killed, or loses power.
set -eu
root=$1 port=$2 program=$3 version=$4

mkdir -p "$root/releases"
last=$(ls "$root/releases" | tail -n 1)
id=$(printf '%06d' $((1 + $(echo "${last:-0}" | sed 's/^0*//;s/^$/0/'))))
mkdir -p "$root/releases/$id/bin"
cp "$program" "$root/releases/$id/bin/mcpd"
echo "$version" >"$root/releases/$id/VERSION"

sh "$(dirname "$0")/switch.sh" "$root" "$port" "$id"

tries=0
until curl -fsS "http://127.0.0.1:$port/health" 2>/dev/null | grep -q '"status":"healthy"'; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || { echo "not healthy" >&2; exit 1; }
	sleep 0.1
done

ls -d "$root"/releases/* | head -n -5 | xargs -r rm -rf
