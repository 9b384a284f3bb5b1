#!/usr/bin/env bash
# aws-cli, boto3, and moto's server of STS and S3, for the test of the hook aws: a
# Python environment in the cache that e2e/setup.sh uses too.
set -euo pipefail

packages=(awscli==1.46.2 boto3==1.44.5 'moto[iam,s3,sts]==5.2.5' flask==3.1.3 flask-cors==6.0.5)

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup aws: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

venv=$cache/aws want="${packages[*]}"
# Also what is in place is tried: its Python may have gone.
[ "$(cat "$venv/installed" 2>/dev/null)" = "$want" ] && "$venv/bin/python3" -c 'import boto3' 2>/dev/null && exit 0

echo "setup aws: making a Python environment with $want"
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
