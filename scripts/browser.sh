#!/usr/bin/env bash
# Checks the page's types and tests it in Chromium before a real server: the test server, then `sbir serve` where SBIR_BIN
# names the binary. Installs what is needed by name. With CI=true a missing Chromium is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
given=${SBIR_BIN:-}
. scripts/env.sh
need node "Node.js 20 or newer"
need npm "npm 9 or newer"

chromium=${CHROMIUM:-/usr/bin/chromium}
if [[ ! -x $chromium ]] && command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium libvulkan1 >/dev/null || true
fi
if [[ ! -x $chromium && ${CI:-} == true ]]; then
  echo "error: $chromium: no Chromium; install Debian's package chromium, or name one in CHROMIUM" >&2
  exit 1
fi

web=crates/sbir-server/web
if ! cmp -s $web/package-lock.json $web/node_modules/.fetched; then
  npm ci --prefix $web --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp $web/package-lock.json $web/node_modules/.fetched
fi
$web/node_modules/.bin/tsc --noEmit -p $web

# The test server embeds cheaply and can be made slow, which the tests of its states need.
cargo build --release --locked --workspace --example test_server
export SBIR_TEST_SERVER=$CARGO_TARGET_DIR/release/examples/test_server
if [[ -n ${SBIR_DATA:-} ]]; then export SBIR_DATA; fi
env -u SBIR_BIN node --test --test-reporter=spec $web/tests/
# What is drawn is found: the page again, with the real encoder.
if [[ -n $given && -x $given ]]; then
  SBIR_BIN=$given node --test --test-reporter=spec $web/tests/page.test.mjs
fi
