#!/usr/bin/env bash
# rclone, for the test of docs/hooks/rclone.md: Debian's, where there is none.
set -euo pipefail

die() { printf 'setup rclone: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command -v rclone >/dev/null && exit 0
echo 'setup rclone: installing rclone'
{ as_root apt-get update -qq &&
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rclone; } >/dev/null </dev/null ||
  die 'cannot install rclone; it takes root or sudo'
