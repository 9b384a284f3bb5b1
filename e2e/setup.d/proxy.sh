#!/usr/bin/env bash
# tinyproxy, a forward proxy, for proxy_test.go: Debian's, where there is none. The one
# that the test starts is its own; a service that the package starts is not used.
set -euo pipefail

die() { printf 'setup proxy: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command -v tinyproxy >/dev/null && exit 0
echo 'setup proxy: installing tinyproxy'
{ as_root apt-get update -qq &&
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tinyproxy; } >/dev/null </dev/null ||
  die 'cannot install tinyproxy; it takes root or sudo'
