#!/usr/bin/env bash
# Python tools for Earth observation, for the tests of write (GDAL in rasterio's
# wheel, py-rattler) and of docs/recipes/python.md: a virtual environment in the
# cache that e2e/setup.sh uses too; systemd for the check of a unit file, and curl.
set -euo pipefail

packages=(rasterio==1.4.4 requests==2.34.2 pystac-client==0.9.1 openeo==0.53.0 eodag==4.10.1 py-rattler==0.28.0 PyYAML==6.0.3)

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup eo: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
install() {
  echo "setup eo: installing $*"
  { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null </dev/null ||
    die "cannot install $*; it takes root or sudo"
}

command -v systemd-analyze >/dev/null || install systemd
command -v curl >/dev/null || install curl ca-certificates
# /usr/bin/python3 has ensurepip only with python3-venv.
command -v python3 >/dev/null && python3 -c 'import ensurepip' 2>/dev/null || install python3 python3-venv

venv=$cache/venv-eo want="${packages[*]}"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$want" ]; then
  echo "setup eo: making a Python environment with $want"
  mkdir -p "$cache"
  rm -rf "$venv"
  python3 -m venv "$venv" || die 'python3 -m venv'
  "$venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" </dev/null || die "pip cannot install $want"
  printf '%s' "$want" >"$venv/installed"
fi
# Also what is in place is tried: it may be of another machine.
"$venv/bin/python" -c 'import rasterio, rattler' || die "$venv does not run; delete it to make it again"
