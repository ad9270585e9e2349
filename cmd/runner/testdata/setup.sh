# setup.sh DIR RUNNER: sets up a copy of this machine (setup_linux_test.go). Exit 77: there can be no copy.
set -eu

if test "$1" != inside; then
	mount -t tmpfs tmpfs "$1" || exit 77
	mkdir "$1/upper" "$1/work" "$1/copy"
	cp "$2" "$1/upper/runner-test"
	cp "$0" "$1/upper/setup.sh"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/copy" || exit 77
	mount --rbind /proc "$1/copy/proc" && mount --rbind /dev "$1/copy/dev" || exit 77
	exec chroot "$1/copy" sh /setup.sh inside
fi

# The copy's programs.
PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
mkdir -p /etc/sudoers.d /etc/systemd/system /loaded
chmod 777 /loaded
cat >/usr/bin/runner <<'END'
#!/bin/sh
umask 077
RUNNER_TEST_AS_RUNNER=1 exec /runner-test "$@"
END
rm -f /usr/bin/systemctl
cat >/usr/bin/systemctl <<'END'
#!/bin/sh
umask 000
echo "$@" >>/loaded/said
while case "$1" in --*) true;; *) false;; esac; do shift; done
for unit; do :; done
case "$1" in
daemon-reload) cp /etc/systemd/system/app.service /loaded;;
enable) test ! -e /no-enable && touch /loaded/enabled;;
start) echo active >/loaded/state;;
stop) echo inactive >/loaded/state;;
show)
	test -e /loaded/enabled && echo UnitFileState=enabled || echo UnitFileState=disabled
	test ! -e /loaded/app.service || cmp -s /loaded/app.service /etc/systemd/system/app.service && echo NeedDaemonReload=no || echo NeedDaemonReload=yes
	echo "ActiveState=$(cat /loaded/state 2>/dev/null || echo inactive)"
	echo MainPID=0;;
esac
END
if test -x /usr/sbin/visudo && test -x /usr/bin/sudo; then
	mv /usr/sbin/visudo /usr/sbin/visudo.real
else
	echo "NOT TESTED: sudo itself: this machine has none"
	printf '#!/bin/sh\ntest -s "${2#--file=}"\n' >/usr/sbin/visudo.real
	cat >/usr/bin/sudo <<'END'
#!/bin/sh
shift
list=
test "$1" != --list || { list=yes; shift; }
id -nG | grep -qw app-deploy || exit 1
sed 's/\\//g' /loaded/rights | grep -qxF "%app-deploy ALL=(root) NOPASSWD: /usr/bin/$*" || { echo "sudo: a password is required" >&2; exit 1; }
test "$list" || exec "$@"
END
fi
cat >/usr/sbin/visudo <<'END'
#!/bin/sh
test ! -e /broken || { echo "syntax error near line 1" >&2; exit 1; }
exec /usr/sbin/visudo.real "$@"
END
chmod 755 /usr/bin/runner /usr/bin/systemctl /usr/sbin/visudo /usr/sbin/visudo.real
test -u /usr/bin/sudo || chmod 755 /usr/bin/sudo

# Two people, each with the project.
for who in ana ben; do
	useradd --create-home --user-group "$who"
	mkdir -p "/home/$who/app/bin"
	printf '#!/bin/sh\n' >"/home/$who/app/bin/app"
	chmod 755 "/home/$who/app/bin/app"
	cat >"/home/$who/environments.star" <<'END'
production = environment(app = "app", target = host(root = "/opt/app", service = systemd("app.service"), user = "app"), build = command(["true"], output = "app"))
END
	cat >"/home/$who/go.star" <<'END'
def main(environment, then = ""):
    lease(environment)
    t = environment.target
    new = releases.install(t.root, build.command(environment.build.argv, output = "app", version = "1.0.0"))
    releases.activate(t.root, new.id, service = t.service)
    if then:
        fail("as asked")
    releases.accept(t.root)
    commit("done")
END
	chown -R "$who:$who" "/home/$who"
done

# wants CODE COMMAND: as who, with the screen in /screen.
who=root
wants() {
	code=$1
	shift
	cd "/home/${person:-ana}"
	got=0
	if test "$who" = root; then
		"$@" >/screen 2>&1 || got=$?
	else
		setpriv --reuid "$who" --regid "$who" --init-groups env HOME="/home/$who" "$@" >/screen 2>&1 || got=$?
	fi
	test "$got" = "$code" || { echo "as $who: $*: exit $got, want $code"; cat /screen; exit 1; }
}
says() { grep -qF -- "$1" /screen || { echo "not said: $1"; cat /screen; exit 1; }; }
silent() { ! grep -qF -- "$1" /screen || { echo "said: $1"; cat /screen; exit 1; }; }
is() { test "$1" = "$2" || { echo "$1, want $2 ($3)"; exit 1; }; }
folder() { is "$(stat -c '%U:%G %a' "$1")" "$2" "$1"; }

# Who is not root sees the list, and changes nothing.
who=ana
wants 1 runner setup production
says 'groupadd --system app-deploy'
says 'usermod --append --groups app-deploy,app ana'
says 'hint: sudo runner setup production'
! getent group app-deploy
test ! -e /opt/app

# Root is asked; where there is nobody to answer, nothing is done.
who=root
export SUDO_USER=ana
wants 18 runner setup production
! getent group app-deploy

# What sudo could not read never gets to it, and the rest of the list is done the next time.
touch /no-enable
wants 11 runner setup --yes production
says 'cannot set up production: systemctl: exit 1'
rm /no-enable
touch /broken
wants 11 runner setup --yes production
silent groupadd
silent 'app.service.new'
says 'systemctl enable app.service'
says 'cannot set up production: visudo: exit 1'
test ! -e /etc/sudoers.d/runner-app
rm /broken
wants 0 runner setup --yes production
silent 'systemctl enable'
says 'production is set up'
cp /etc/sudoers.d/runner-app /loaded/rights
chmod 644 /loaded/rights

# All is there, and once more there is nothing to do.
folder /opt/app 'root:app-deploy 2775'
folder /opt/app/releases 'root:app-deploy 2775'
folder /opt/app/.runner 'root:app-deploy 2771'
folder /opt/app/shared 'app:app 2775'
folder /etc/sudoers.d/runner-app 'root:root 440'
folder /etc/systemd/system/app.service 'root:root 644'
is "$(getent passwd app | cut -d: -f6,7)" /opt/app/shared:/usr/sbin/nologin 'the service user'
test ! -e /etc/sudoers.d/runner-app.new
wants 0 runner setup production
says 'nothing to do: production is set up'
who=ana
wants 0 runner setup production
says 'nothing to do: production is set up'

# Somebody else who is to deploy is one command.
who=root
SUDO_USER=ben person=ben
wants 0 runner setup --yes production
says 'usermod --append --groups app-deploy,app ben'
is "$(grep -c '^[a-z]*mod\|^install\|^systemctl' /screen)" 1 'commands'

# Both deploy in turn, without root, and each takes back what they did; ana's service is ben's to stop.
who=ana person=ana
wants 0 runner go.star production
who=ben person=ben
wants 0 runner go.star production
is "$(readlink /opt/app/current)" releases/000002 current
who=ana person=ana
wants 10 runner go.star production fail
wants 0 runner go.star production
is "$(cat /loaded/state)" active 'the service'
for file in /opt/app/.runner/services/*.json /opt/app/.runner/service.env /opt/app/.runner/runs/*; do
	is "$(stat -c '%G %a' "$file")" 'app-deploy 660' "$file"
done
who=app
wants 1 cat /opt/app/.runner/service.env

# What runs have made since is as setup wants it.
who=root
wants 0 runner setup production
says 'nothing to do'

# What root has deployed before the setup is the group's after it.
chgrp -R root /opt/app/.runner /opt/app/releases
find /opt/app/.runner /opt/app/releases -type d -exec chmod g-ws {} +
chmod 600 /opt/app/.runner/runs/* /opt/app/.runner/lease
wants 0 runner setup --yes production
says 'chgrp --recursive --no-dereference app-deploy /opt/app/.runner'
who=ben person=ben
wants 0 runner go.star production

# A unit written by hand is shown, and left alone; runner's own is kept as it must be.
who=root person=ana
sed -i 's/^RestartSec=1/RestartSec=2/' /etc/systemd/system/app.service
wants 0 runner setup --yes production
grep -q RestartSec=1 /etc/systemd/system/app.service
printf '[Service]\nExecStart=/bin/true\n' >/etc/systemd/system/app.service
wants 1 runner setup --yes production
says 'in the way: /etc/systemd/system/app.service was not written by runner'
is "$(wc -l </etc/systemd/system/app.service)" 2 'lines of the unit'
rm /etc/systemd/system/app.service
useradd --create-home eve
chown eve /opt/app
wants 1 runner setup --yes production
says 'in the way: /opt/app belongs to eve, and not to root'
test ! -e /etc/systemd/system/app.service
chown root /opt/app
usermod --shell /bin/sh app
wants 1 runner setup --yes production
says 'in the way: the user app can log in, with /bin/sh'
