#!/bin/sh
# The Docker engine of the labs: prints its address. That of DOCKER_HOST, else the one at the default socket, else one
# that is started here, as root, and goes on running: "engine.sh stop" ends that one alone.
set -eu

dir=${XDG_RUNTIME_DIR:-/run}/runner-lab-docker
data=${XDG_CACHE_HOME:-${HOME:?}/.cache}/runner/docker # its images stay from one run to the next

answers() { test -S "${1#unix://}" && curl -fsS -m 5 --unix-socket "${1#unix://}" http://engine/_ping >/dev/null 2>&1; }

start() {
	command -v dockerd >/dev/null || { echo 'engine: dockerd is missing: make setup installs it' >&2; exit 1; }
	test "$(id -u)" = 0 || { echo 'engine: no engine answers, and starting one needs root' >&2; exit 1; }
	mkdir -p "$dir" "$data"
	echo '{}' >"$dir/daemon.json" # not the machine's own
	# A new exec-root each time: what a killed engine left in one cannot be used again.
	setsid dockerd --config-file="$dir/daemon.json" --host="unix://$dir/docker.sock" --data-root="$data" \
		--exec-root="$dir/exec.$$" --pidfile="$dir/pid" >"$dir/log" 2>&1 </dev/null &
	engine=$!
	tries=0
	until answers "unix://$dir/docker.sock"; do
		tries=$((tries + 1))
		test $tries -lt 300 && kill -0 $engine || { echo "engine: none within 30 s:" >&2; tail -5 "$dir/log" >&2; exit 1; }
		sleep 0.1
	done
}

if [ "${1:-}" = stop ]; then
	test ! -f "$dir/pid" || kill "$(cat "$dir/pid")"
	exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
	echo "$DOCKER_HOST"
elif answers unix:///var/run/docker.sock; then
	echo unix:///var/run/docker.sock
else
	answers "unix://$dir/docker.sock" || start
	echo "unix://$dir/docker.sock"
fi
