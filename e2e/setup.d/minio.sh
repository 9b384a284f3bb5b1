#!/usr/bin/env bash
# MinIO, for the test of the hook aws: built once from its Go module into the cache
# that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

version=v0.0.0-20260212201848-7aac2a2c5b7c

need_go
go_has "$cache/bin/minio" github.com/minio/minio "$version" && exit 0

say "building MinIO $version (some minutes, once)"
mkdir -p "$cache/bin"
try env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 nice go install "github.com/minio/minio@$version"
