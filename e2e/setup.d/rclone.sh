#!/usr/bin/env bash
# rclone, for the test of docs/hooks/rclone.md: Debian's, where there is none.
. "$(dirname "$0")/lib.bash"

command -v rclone >/dev/null || apt_install rclone
