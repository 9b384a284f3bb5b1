#!/usr/bin/env bash
# OpenTofu, for the test of the hook terraform: built once from its Go module into
# the cache that e2e/setup.sh uses too.
set -euo pipefail

version=v1.12.6
# The module replaces its hcl with a fork of its own, which `go install` refuses
# to follow; so here is a module that requires it, and repeats that line.
hcl='github.com/hashicorp/hcl/v2 v2.20.1 => github.com/opentofu/hcl/v2 v2.20.2-0.20251021132045-587d123c2828'

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup terraform: FAILED: %s\n' "$*" >&2; exit 1; }
command -v go >/dev/null || die 'go is missing: it is the one thing to install by hand'

bin=$cache/bin/tofu
mkdir -p "$cache/bin"
info=$(go version -m "$bin" 2>/dev/null || true)
grep -q "mod[[:space:]]github.com/opentofu/opentofu[[:space:]]$version[[:space:]]" <<<"$info" && exit 0

echo "setup terraform: building OpenTofu $version (some minutes, once)"
tmp=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/go.mod" <<MOD
module t2-cred.build/tofu

go 1.26.6

godebug (
	tlsmlkem=0
	winsymlink=0
)

require github.com/opentofu/opentofu $version

replace $hcl
MOD
(cd "$tmp" && env -u GOOS -u GOARCH CGO_ENABLED=0 GOFLAGS=-mod=mod nice \
  go build -trimpath -ldflags='-s -w' -o tofu github.com/opentofu/opentofu/cmd/tofu) >"$tmp/log" 2>&1 </dev/null ||
  { tail -n 20 "$tmp/log" >&2; die "go build github.com/opentofu/opentofu/cmd/tofu@$version"; }
mv "$tmp/tofu" "$bin"
