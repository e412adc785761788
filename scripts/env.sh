# Sourced by the scripts: where build outputs go, outside the checkout so that warm runs are fast.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/sbir/target}
export SBIR_BIN=$CARGO_TARGET_DIR/release/sbir
need() { # need COMMAND WHERE-FROM
  command -v "$1" >/dev/null || { echo "error: $1 is not on the PATH: install $2" >&2; exit 1; }
}
browser() { # Debian's Chromium and the Vulkan loader, where they are missing and apt is ours to use
  local packages=(chromium libvulkan1)
  if ! dpkg -s "${packages[@]}" >/dev/null 2>&1 && command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${packages[@]}" >/dev/null
  fi
  if command -v chromium >/dev/null; then chromium --version 2>/dev/null || true; fi
}
