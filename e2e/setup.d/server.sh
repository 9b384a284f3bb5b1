#!/usr/bin/env bash
# What a job server is made of, for the tests of docs/operations.md and of contrib/:
# bubblewrap for a read-only root, buildah and runc for the container image, systemd
# for the check of the units, curl.
. "$(dirname "$0")/lib.bash"

wanted=()
# As a user, the sbin directories may not be on PATH.
need() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || wanted+=("$2"); }
need bwrap bubblewrap
need buildah buildah
need runc runc
need systemd-analyze systemd
need setpriv util-linux
need curl curl
[ -s /etc/ssl/certs/ca-certificates.crt ] || wanted+=(ca-certificates)
[ ${#wanted[@]} -eq 0 ] || apt_install "${wanted[@]}"
