#!/usr/bin/env bash
# Runs a command with a gnome-keyring of its own: a private D-Bus, an unlocked login
# collection, a fresh home. All of it is gone when the command ends.
#
#   e2e/with-keyring.sh [--keep-home] COMMAND [ARGUMENT]...
#
# --keep-home  only the bus is private; HOME and the XDG directories stay, so that
#              tools such as `go` find their caches
set -euo pipefail

keep_home=no
if [ "${1:-}" = --keep-home ]; then
  keep_home=yes
  shift
fi
if [ $# = 0 ]; then
  sed -n '2,/^set/{/^set/d; s/^# \{0,1\}//; p}' "$0" >&2
  exit 2
fi
for command in dbus-daemon dbus-send gnome-keyring-daemon setpriv; do
  command -v "$command" >/dev/null || {
    echo "with-keyring: $command is missing: run $(dirname "$0")/setup.sh keyring" >&2
    exit 1
  }
done

# Sockets lie in it, so its name has to be short.
dir=$(mktemp -d /tmp/t2-ring.XXXXXX)
bus='' daemon=''
end() {
  local pid
  exec 2>/dev/null # the shell would report each process that is killed here
  for pid in $daemon $bus; do
    kill -KILL "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -m 700 "$dir"/{home,run,data,config,cache,state}
private=(HOME="$dir/home" XDG_RUNTIME_DIR="$dir/run" XDG_DATA_HOME="$dir/data"
  XDG_CONFIG_HOME="$dir/config" XDG_CACHE_HOME="$dir/cache" XDG_STATE_HOME="$dir/state")
export DBUS_SESSION_BUS_ADDRESS="unix:path=$dir/bus"

# The session's configuration less its service directories: a bus that activates
# services would start a second, locked daemon after a crash.
cat >"$dir/bus.conf" <<EOF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$dir/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
EOF

# setpriv: when this script is killed, the kernel takes the bus with it, and the
# daemon ends with the bus.
env "${private[@]}" setpriv --pdeathsig KILL \
  dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile --nosyslog >"$dir/bus.log" 2>&1 &
bus=$!

# within SECONDS COMMAND...: until it succeeds.
within() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ] || ! kill -0 "$bus" 2>/dev/null; then
      return 1
    fi
    sleep 0.01
  done
}
failed() {
  echo "with-keyring: $1 did not start:" >&2
  cat "$dir/$2.log" >&2
  exit 1
}
within 20 test -S "$dir/bus" || failed dbus-daemon bus

# The password ends with the input: a line feed would be a part of it.
printf test | env "${private[@]}" setpriv --pdeathsig KILL \
  gnome-keyring-daemon --foreground --unlock --components=secrets \
  --control-directory="$dir/run/keyring" >"$dir/daemon.log" 2>&1 &
daemon=$!
# The daemon makes and unlocks login before it lists it. (It is asked for the list
# and not for the collection: a client whose first call is the latter can abort it.)
listed() {
  dbus-send --bus="$DBUS_SESSION_BUS_ADDRESS" --print-reply --reply-timeout=2000 --dest=org.freedesktop.secrets \
    /org/freedesktop/secrets org.freedesktop.DBus.Properties.Get \
    string:org.freedesktop.Secret.Service string:Collections | grep -q 'collection/login"'
}
within 20 listed || failed gnome-keyring-daemon daemon

status=0
if [ $keep_home = yes ]; then
  "$@" || status=$?
else
  env "${private[@]}" "$@" || status=$?
fi
exit $status
