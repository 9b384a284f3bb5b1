#!/usr/bin/env bash
# What a job server is made of, for the tests of docs/operations.md and of contrib/:
# bubblewrap for a read-only root, systemd for the check of the units, curl.
set -euo pipefail

die() { printf 'setup server: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# As a user, the sbin directories may not be on PATH.
have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

wanted=()
need() { have "$1" || wanted+=("$2"); }
need bwrap bubblewrap
need systemd-analyze systemd
need setpriv util-linux
need curl curl
[ ${#wanted[@]} -gt 0 ] || exit 0

echo "setup server: installing ${wanted[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ as_root apt-get update -qq &&
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } >"$log" 2>&1 </dev/null ||
  { tail -n 20 "$log" >&2; die "cannot install ${wanted[*]}; it takes root or sudo"; }
