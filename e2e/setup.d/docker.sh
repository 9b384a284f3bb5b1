#!/usr/bin/env bash
# For the test of the hook docker: skopeo, crane built from its Go module, and out of
# Debian's packages docker's command line and a registry. These two are unpacked into
# the cache that e2e/setup.sh uses too, since installing them would start daemons. As
# root, or as a user who may sudo.
set -euo pipefail

crane=v0.22.1

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup docker: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

mkdir -p "$cache/bin"
tmp=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
log=$tmp/log

# try COMMAND...: shows what it said when it fails.
try() { "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; die "$*"; }; }
updated=
update() {
  [ -n "$updated" ] || try as_root apt-get update -qq
  updated=1
}

if ! command -v skopeo >/dev/null; then
  update
  echo 'setup docker: installing skopeo'
  try as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends skopeo
fi

# unpack PACKAGE: into a folder of its name.
unpack() {
  local dir=$cache/$1
  [ -d "$dir/usr/bin" ] && return
  update
  echo "setup docker: unpacking $1"
  cd "$tmp"
  try apt-get download -qq "$1"
  try dpkg-deb -x "$1"_*.deb "$tmp/$1"
  cd "$OLDPWD"
  rm -rf "$dir"
  mv "$tmp/$1" "$dir"
}
unpack docker.io
unpack docker-registry

command -v go >/dev/null || die 'go is missing: it is the one thing to install by hand'
info=$(go version -m "$cache/bin/crane" 2>/dev/null || true)
if ! grep -q "mod[[:space:]]github.com/google/go-containerregistry[[:space:]]$crane[[:space:]]" <<<"$info"; then
  echo "setup docker: building crane $crane"
  try env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 go install "github.com/google/go-containerregistry/cmd/crane@$crane"
fi
