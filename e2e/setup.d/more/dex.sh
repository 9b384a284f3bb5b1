#!/usr/bin/env bash
# Dex, an issuer for the tests TestMore_Dex…, built from its Go module into the cache that
# e2e/setup.sh uses too. Its releases have no versions that Go knows: this is v2.41.1. It
# needs a C compiler, for a database that is not used.
. "$(dirname "$0")/../lib.bash"

dex=v0.0.0-20240807174518-43956db7fd75
api=v2.2.0

need_go
go_has "$cache/bin/dex" github.com/dexidp/dex "$dex" && exit 0
command -v gcc >/dev/null || apt_install gcc libc6-dev
say "building Dex 2.41.1"
cd "$tmp"
printf 'module dex\n\ngo 1.26\n' >go.mod
unset GOOS GOARCH
export GOFLAGS=-mod=mod CGO_ENABLED=1
try go get "github.com/dexidp/dex@$dex" "github.com/dexidp/dex/api/v2@$api"
try go build -trimpath -o "$cache/bin/dex" github.com/dexidp/dex/cmd/dex
