#!/usr/bin/env bash
# For the test of the hook docker: skopeo; crane and oras built from their Go modules
# (helm comes with kubectl.sh); and out of Debian's packages docker's command line,
# podman with what it will not start without, and a registry. These are unpacked into
# the cache that e2e/setup.sh uses too, since installing some would start daemons. As
# root, or as a user who may sudo.
. "$(dirname "$0")/lib.bash"

crane=v0.22.1
oras=v1.3.6

command -v skopeo >/dev/null || apt_install skopeo

for package in docker.io docker-registry podman conmon crun; do apt_unpack "$package"; done
# Their libraries do no harm.
libraries=$(ldd "$cache/podman/usr/bin/podman" "$cache/conmon/usr/bin/conmon" "$cache/crun/usr/bin/crun")
if grep -q 'not found' <<<"$libraries"; then
  apt_install libsubid4 libseccomp2 libglib2.0-0 libyajl2
fi

need_go
# build NAME MODULE VERSION PACKAGE: from the module, unless it is there.
build() {
  go_has "$cache/bin/$1" "$2" "$3" && return
  say "building $1 $3"
  try env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 nice go install "$2/$4@$3"
}
build crane github.com/google/go-containerregistry "$crane" cmd/crane
build oras oras.land/oras "$oras" cmd/oras
