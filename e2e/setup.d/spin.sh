#!/usr/bin/env bash
# The model checker spin, and gcc for the program that it writes, for docs/spec. As
# root, or as a user who may sudo.
. "$(dirname "$0")/lib.bash"

wanted=()
need() { command -v "$1" >/dev/null || wanted+=("${@:2}"); }
need spin spin
need gcc gcc libc6-dev
[ ${#wanted[@]} -eq 0 ] || apt_install "${wanted[@]}"
