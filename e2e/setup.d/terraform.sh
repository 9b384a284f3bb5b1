#!/usr/bin/env bash
# OpenTofu, for the test of the hook terraform: built once from its Go module into
# the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"


version=v1.12.6
# The module replaces its hcl with a fork of its own, which `go install` refuses
# to follow; so here is a module that requires it, and repeats that line.
hcl='github.com/hashicorp/hcl/v2 v2.20.1 => github.com/opentofu/hcl/v2 v2.20.2-0.20251021132045-587d123c2828'

need_go
bin=$cache/bin/tofu
go_has "$bin" github.com/opentofu/opentofu "$version" && exit 0

say "building OpenTofu $version (some minutes, once)"
mkdir -p "$cache/bin"
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
cd "$tmp"
try env -u GOOS -u GOARCH CGO_ENABLED=0 GOFLAGS=-mod=mod nice go build -trimpath -ldflags='-s -w' -o tofu github.com/opentofu/opentofu/cmd/tofu
mv tofu "$bin"
