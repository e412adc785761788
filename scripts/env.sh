# Sourced by the scripts: where build outputs go, outside the checkout so that warm runs are fast.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/sbir/target}
export SBIR_BIN=$CARGO_TARGET_DIR/release/sbir
need() { # need COMMAND WHERE-FROM
  command -v "$1" >/dev/null || { echo "error: $1 is not on the PATH: install $2" >&2; exit 1; }
}
