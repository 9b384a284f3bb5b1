#!/usr/bin/env bash
# MinIO, for the test of the hook aws: built once from its Go module into the cache
# that e2e/setup.sh uses too.
set -euo pipefail

version=v0.0.0-20260212201848-7aac2a2c5b7c

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup minio: FAILED: %s\n' "$*" >&2; exit 1; }
command -v go >/dev/null || die 'go is missing: it is the one thing to install by hand'

bin=$cache/bin/minio
info=$(go version -m "$bin" 2>/dev/null || true)
grep -q "mod[[:space:]]github.com/minio/minio[[:space:]]$version[[:space:]]" <<<"$info" && exit 0

echo "setup minio: building MinIO $version (some minutes, once)"
mkdir -p "$cache/bin"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 nice go install "github.com/minio/minio@$version" >"$log" 2>&1 </dev/null ||
  { tail -n 20 "$log" >&2; die "go install github.com/minio/minio@$version"; }
