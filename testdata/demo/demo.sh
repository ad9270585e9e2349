#!/bin/sh
# Shows runner on a real service: deployed, upgraded, broken and taken back, killed and recovered. It works in a folder
# of its own and leaves nothing behind.
set -eu
runner=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
project=$(mktemp -d)

say() { printf '\n--- %s\n' "$*"; }
end() {
	"$runner" --quiet stop.star production >/dev/null 2>&1 || true
	rm -rf "$project" "$project.log"
}
trap end EXIT

cp "$here"/../apps/mcpd/*.go "$here"/../apps/mcpd/go.mod "$here"/*.star "$project"
cd "$project"
git init -q . # a protected environment wants to find again what it serves
version() {
	echo "$1" >VERSION
	git add -A && git -c user.name=demo -c user.email=demo@localhost commit -qm "$1"
}

say 'a first deployment to production on this host'
version 1.0.0
"$runner" deploy.star production
"$runner" --quiet status.star production

say 'an upgrade to 1.1.0'
version 1.1.0
"$runner" deploy.star production
"$runner" --quiet status.star production

say '1.2.0 is broken: its health check fails; it is taken back'
sed -i 's/fault   = ""/fault   = "health=unhealthy"/' ./*.go
sed -i 's/within = "30s"/within = "3s"/' environments.star
version 1.2.0
code=0
"$runner" deploy.star production || code=$?
echo "exit $code"
"$runner" --quiet status.star production

say '1.3.0 is mended; its deployment is killed with kill -9 while it waits for health'
sed -i 's/fault   = "health=unhealthy"/fault   = ""/' ./*.go
version 1.3.0
"$runner" deploy.star production 2>"$project.log" &
pid=$!
until grep -q 'health.wait' "$project.log"; do
	kill -0 $pid 2>/dev/null || break
done
kill -9 $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
cat "$project.log"

say 'the next run recovers by itself, and deploys 1.3.0'
"$runner" deploy.star production
"$runner" --quiet status.star production

say 'and back to the release before'
"$runner" --yes rollback.star production
"$runner" --quiet status.star production
