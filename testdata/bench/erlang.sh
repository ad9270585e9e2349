#!/bin/bash
# Deploys an OTP release as an operator has to who wants from a script what deploy.star promises:
# erlang.sh ROOT PORT VERSION SOURCE [REBAR3-PROJECT]. With a project it is built first. The backup and the release are
# copied with checksums and are on the disk before anything is stopped; the switch is one rename; nothing is marked as good
# before its health is proved. It takes nothing back: killed half-way, it leaves a person to find out what there is.
set -euo pipefail
root=$1 port=$2 version=$3 source=$4 project=${5:-}
url=http://127.0.0.1:$port

mkdir -p "$root"/{releases,backups,shared/log,home}
exec 9>"$root/lock"
flock -n 9 || { echo "somebody else deploys" >&2; exit 1; }

if [ -n "$project" ]; then
	(cd "$project" && rebar3 as prod release --output-dir "$(dirname "$source")" >/dev/null)
fi
[ -x "$source/bin/erlmcp" ] && [ -d "$source/releases/$version" ] || { echo "$source is no release of $version" >&2; exit 1; }
need=$(du -sk "$source" | cut -f 1)
[ "$(df -k --output=avail "$root" | tail -n 1)" -gt $((need * 3)) ] || { echo "the disk is full" >&2; exit 1; }

# copy FROM TO: a copy with its checksums, proved and durable before it has its name.
sums() { (cd "$1" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum); }
copy() {
	rm -rf "$2.new"
	cp -a "$1" "$2.new"
	sums "$1" >"$2.new/SHA256SUMS"
	(cd "$2.new" && sha256sum --quiet -c SHA256SUMS)
	sync -f "$2.new"
	mv -T "$2.new" "$2"
	sync "$(dirname "$2")"
}

if [ -L "$root/current" ]; then
	live=$(readlink -f "$root/current")
	(cd "$live" && sha256sum --quiet -c SHA256SUMS)
	copy "$live" "$root/backups/erlmcp-backup-$(date +%Y%m%d-%H%M%S-%N)"
fi
last=$(ls "$root/releases" | { grep -v new || :; } | tail -n 1)
id=$(printf '%06d' $((1 + 10#${last:-0})))
copy "$source" "$root/releases/$id"

# A zombie has ended, though an init that is slow to reap it lets kill -0 find it for seconds.
alive() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$1/status"; }
if [ -f "$root/pid" ] && pid=$(cat "$root/pid") && kill "$pid" 2>/dev/null; then
	tries=0
	while alive "$pid"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || kill -9 "$pid"
		sleep 0.1
	done
fi
ln -sfn "releases/$id" "$root/current.new"
mv -T "$root/current.new" "$root/current"
sync "$root"

mkdir -p "$root/shared/run/$id"
cd "$root/current"
env -u ROOTDIR -u BINDIR HOME="$root/home" PORT="$port" NODE_NAME="erlmcp_shell_$port@127.0.0.1" RUNNER_LOG_DIR="$root/shared/log" \
	RELX_REPLACE_OS_VARS=true RELX_OUT_FILE_PATH="$root/shared/run/$id" RELX_CONFIG_PATH="$PWD/config/production.config" \
	setsid bin/erlmcp foreground >>"$root/shared/log/service.log" 2>&1 </dev/null 9>&- &
echo $! >"$root/pid"

tries=0
until document=$(curl -fsS "$url/health" 2>/dev/null) && [[ $document == *'"status":"healthy"'* && $document == *"\"version\":\"$version\""* ]]; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || { echo "not healthy: $document" >&2; exit 1; }
	sleep 0.1
done
curl -fsS "$url/health/ready" >/dev/null
curl -fsS -m 0.5 "$url/health/live" >/dev/null
curl -fsS -H 'Content-Type: application/json' "$url/mcp" \
	-d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"erlang.sh","version":"1"}}}' |
	grep -q '"name":"erlmcp"'

echo "$version" >"$root/shared/run/$id.good"
sync "$root/shared/run/$id.good" "$root/shared/run"
for kept in releases backups; do
	ls "$root/$kept" | head -n -5 | (cd "$root/$kept" && xargs -r rm -rf)
done
