#!/usr/bin/env bash
# google-auth, for the test of the hook google: a Python environment in the cache
# that e2e/setup.sh uses too.
set -euo pipefail

packages=(google-auth==2.63.0 requests==2.34.2)

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup google: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

venv=$cache/google want="${packages[*]}"
# Also what is in place is tried: its Python may have gone.
[ "$(cat "$venv/installed" 2>/dev/null)" = "$want" ] && "$venv/bin/python3" -c 'import google.auth, requests' 2>/dev/null && exit 0

echo "setup google: making a Python environment with $want"
mkdir -p "$cache"
rm -rf "$venv"
if ! python3 -m venv "$venv" >/dev/null 2>&1; then
  { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv; } >/dev/null </dev/null ||
    die 'cannot install python3-venv; it takes root or sudo'
  rm -rf "$venv"
  python3 -m venv "$venv" || die 'python3 -m venv'
fi
"$venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" </dev/null || die "pip cannot install $want"
printf '%s' "$want" >"$venv/installed"
