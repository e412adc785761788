# Sourced by the scripts that try the launchers: a Python with Ray and Kubernetes' schema, pinned, their hashes checked; $VENV.
SERVERS=${SBIR_SERVERS:-/var/tmp/sbir-servers-$(id -u)}
wanted=scripts/launchers/requirements.txt
VENV=$SERVERS/launchers-$(sha256sum $wanted | cut -c1-12)
umask 022
mkdir -p "$SERVERS"
[[ -O $SERVERS ]] || { echo "error: $SERVERS belongs to another user; set SBIR_SERVERS" >&2; exit 1; }
exec 9>"$SERVERS/launchers.lock"
flock 9
if [[ ! -e $VENV/ready ]]; then
  # The system's own first: one in a home folder is not for the user that the cluster runs as.
  python=
  for candidate in /usr/bin/python3.11 python3.11 python3; do
    "$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && python=$candidate && break
  done
  [[ $python ]] || { echo "error: Python 3.11 is needed, for which $wanted has hashes" >&2; exit 1; }
  rm -rf "$VENV"
  "$python" -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $wanted >&2
  touch "$VENV/ready"
fi
flock -u 9
