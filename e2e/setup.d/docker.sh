#!/usr/bin/env bash
# For the test of the hook docker: skopeo, crane built from its Go module, and out of
# Debian's packages docker's command line and a registry. These two are unpacked into
# the cache that e2e/setup.sh uses too, since installing them would start daemons. As
# root, or as a user who may sudo.
. "$(dirname "$0")/lib.bash"

crane=v0.22.1

command -v skopeo >/dev/null || apt_install skopeo

# unpack PACKAGE: into a folder of its name.
unpack() {
  local dir=$cache/$1
  [ -d "$dir/usr/bin" ] && return
  say "unpacking $1"
  apt_update
  cd "$tmp"
  try apt-get download -qq "$1"
  try dpkg-deb -x "$1"_*.deb "$tmp/$1"
  cd "$OLDPWD"
  rm -rf "$dir"
  mv "$tmp/$1" "$dir"
}
unpack docker.io
unpack docker-registry

need_go
if ! go_has "$cache/bin/crane" github.com/google/go-containerregistry "$crane"; then
  say "building crane $crane"
  try env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 go install "github.com/google/go-containerregistry/cmd/crane@$crane"
fi
