#!/usr/bin/env bash
# Tries launchers/ray/embed.py: a cluster of two workers on this machine, one of which is killed during the job. Checks that every piece is there
# once and that a load gives every photo. Builds `sbir` unless SBIR_BIN names it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
given=${SBIR_BIN:-}
. scripts/env.sh
. scripts/launchers/venv.sh
if [[ -n $given ]]; then SBIR_BIN=$given; else cargo build --release --locked --quiet -p sbir; fi

work=$(mktemp -d /var/tmp/sbir-ray.XXXXXX)
as=()
if [[ $(id -u) == 0 ]]; then
  # A cluster runs what it is sent: as nobody, who cannot read what is root's.
  chown 65534:65534 "$work"
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
cleanup() {
  # All that the cluster started, by the folder that it has in its environment.
  local process
  for process in /proc/[0-9]*; do
    if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qx "SBIR_RAY_TRIAL=$work"; then kill -KILL "${process#/proc/}" 2>/dev/null || true; fi
  done
  rm -rf "$work"
}
trap cleanup EXIT
install -m 755 "$SBIR_BIN" "$work/sbir"
cp launchers/ray/embed.py scripts/launchers/ray_trial.py "$work/"
# Ray's switch for systems whose firewalls ask: off, all of it stays on loopback.
timeout -k 10 900 "${as[@]}" env -i SBIR_RAY_TRIAL="$work" HOME="$work" TMPDIR="$work" SBIR_CACHE="$work/cache" PATH=/usr/bin:/bin \
  RAY_USAGE_STATS_ENABLED=0 RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 "$VENV/bin/python" "$work/ray_trial.py" "$work"
