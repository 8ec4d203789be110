#!/usr/bin/env bash
# Runs the unit of `edgevid service install` under a systemd of its own, in namespaces: as root, by
# hand, not part of `make test`. The machine's own systemd and its units are not touched.
#
#   sudo tests/jetson/under_systemd.sh /opt/edgevid/venv/bin/edgevid /opt/edgevid/demo.edgevid
#
# Every user must be able to read both: the service has a user of its own.
set -euo pipefail

PROGRAM=${1:?usage: under_systemd.sh PROGRAM BUNDLE}
BUNDLE=${2:?usage: under_systemd.sh PROGRAM BUNDLE}

clean_up() {
  [[ -z ${SYSTEMD:-} ]] || kill -KILL "$SYSTEMD" 2>/dev/null || true
  sleep 1
  find "$GROUP" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  rm -rf "$WORK"
}

write_units() {
  chmod 755 "$WORK"
  mkdir "$WORK/units"
  cat >"$WORK/site.toml" <<SITE
model = "$BUNDLE"
jsonl = "labels.jsonl"
quiet = true
engine = "onnxruntime"
[[sources]]
uri = "synthetic:?live=1&seconds=600"
SITE
  "$PROGRAM" service install --dry-run --program "$PROGRAM" --config "$WORK/site.toml" |
    sed '1d; s/^WatchdogSec=.*/WatchdogSec=6/' >"$WORK/units/edgevid.service"
  local target
  for target in basic sysinit shutdown; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' $target >"$WORK/units/$target.target"
  done
  printf '[Unit]\nDescription=default\nWants=edgevid.service\n' >"$WORK/units/default.target"
}

# The first process of the namespaces: covers what systemd would start or change, then becomes it.
start_systemd() {
  mount -t tmpfs tmpfs /sys/fs/cgroup 2>/dev/null || true
  mount -t cgroup2 none /sys/fs/cgroup
  mount --bind /proc/sys /proc/sys
  mount -o remount,bind,ro /proc/sys
  mount --bind "$WORK/units" /usr/lib/systemd/system
  local covered
  for covered in /run /usr/lib/systemd/system-generators /etc/systemd/system /var/lib /var/cache; do
    mount -t tmpfs -o mode=755 tmpfs $covered
  done
  exec env -i container=edgevid PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system \
    --show-status=no --log-target=null
}

inside() {
  nsenter --target "$SYSTEMD" --all "$@"
}

show() {
  inside systemctl show --property "$1" --value edgevid
}

expect() {
  local what=$1 wanted=$2 got=$3
  [[ $got == "$wanted" ]] || {
    printf 'FAILED: %s: %s, and should be %s\n' "$what" "$got" "$wanted"
    exit 1
  }
  printf 'ok: %s: %s\n' "$what" "$got"
}

wait_until_active() {
  local turn
  for turn in {1..60}; do
    [[ $(show ActiveState 2>/dev/null) != active || $(show StatusText) != Running* ]] || return 0
    sleep 0.5
  done
  printf 'FAILED: not running after %s turns: %s\n' "$turn" "$(show StatusText)"
  exit 1
}

check() {
  wait_until_active
  expect "status" "Running on 1 of 1 sources" "$(show StatusText)"
  local main
  main=$(show MainPID)
  expect "capabilities" 0000000000000000 \
    "$(inside grep ^CapEff "/proc/$main/status" | cut -f2)"
  expect "writing below /opt" refused "$(inside nsenter --target "$main" --mount \
    touch /opt/edgevid-was-here 2>/dev/null && echo worked || echo refused)"
  sleep 10
  expect "restarts while the watchdog is answered" 0 "$(show NRestarts)"
  printf 'ok: labels: %s\n' "$(inside wc -l /var/lib/edgevid/labels.jsonl | cut -d' ' -f1)"
  inside systemctl reload edgevid
  expect "after a reload" active "$(show ActiveState)"
  inside kill -KILL "$main"
  sleep 6
  wait_until_active
  expect "restarts after SIGKILL" 1 "$(show NRestarts)"
  inside kill -STOP "$(show MainPID)"
  sleep 13
  wait_until_active
  expect "restarts after a hang" 2 "$(show NRestarts)"
  inside systemctl stop edgevid
  expect "status of the end" 0 "$(show ExecMainStatus)"
  expect "after a stop" inactive "$(show ActiveState)"
}

main() {
  WORK=$(mktemp -d -p /opt edgevid-XXXXXX)
  GROUP=/sys/fs/cgroup
  [[ ! -d $GROUP/unified ]] || GROUP=$GROUP/unified
  GROUP=$GROUP/${WORK##*/}
  trap clean_up EXIT
  write_units
  mkdir "$GROUP"
  (
    echo "$BASHPID" >"$GROUP/cgroup.procs"
    exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child --mount-proc \
      "$0" "$PROGRAM" "$BUNDLE" --inside "$WORK"
  ) &
  sleep 2
  SYSTEMD=$(pgrep --parent $!)
  systemctl --version | head -n 1
  check
}

if [[ ${3:-} == --inside ]]; then
  WORK=$4
  start_systemd
else
  main
fi
