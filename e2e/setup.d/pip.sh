#!/usr/bin/env bash
# pip, an old and a new one, uv and Python's own keyring, for the test of the hook
# keyring: two virtual environments in the cache that e2e/setup.sh uses too.
set -euo pipefail

old=(pip==23.2.1)
new=(pip==26.3 uv==0.13.9)
own=(keyring==25.7.0)

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup pip: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# make NAME PACKAGE...: an environment with just these. keyring has its own, since
# pip does not run what lies beside itself.
make() {
  local venv=$cache/$1 want="${*:2}"
  # Also what is in place is tried: its Python may have gone.
  [ "$(cat "$venv/installed" 2>/dev/null)" = "$want" ] && "$venv/bin/python3" -c '' 2>/dev/null && return
  echo "setup pip: making a Python environment with $want"
  mkdir -p "$cache"
  rm -rf "$venv"
  if ! python3 -m venv "$venv" >/dev/null 2>&1; then
    { as_root apt-get update -qq &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv; } >/dev/null </dev/null ||
      die 'cannot install python3-venv; it takes root or sudo'
    rm -rf "$venv"
    python3 -m venv "$venv" || die 'python3 -m venv'
  fi
  "$venv/bin/python3" -m pip install -q --disable-pip-version-check "${@:2}" </dev/null || die "pip cannot install $want"
  printf '%s' "$want" >"$venv/installed"
}
make pip-old "${old[@]}"
make pip-new "${new[@]}"
make python-keyring "${own[@]}"
