# Makes a database where there is none, as the entrypoint of the registry's image does, and becomes the server.
set -eu

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	test -s "$POSTGRES_PASSWORD_FILE" || { echo 'no password is given' >&2; exit 1; }
	chmod 0700 "$PGDATA"
	# shellcheck disable=SC2086
	initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust ${POSTGRES_INITDB_ARGS:-}
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	pg_ctl -w -o '-c listen_addresses=' start
	test "$POSTGRES_DB" = postgres || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
	pg_ctl -w -m fast stop
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
fi
exec "$@"
