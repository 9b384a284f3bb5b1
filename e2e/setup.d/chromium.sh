#!/usr/bin/env bash
# Chromium, in which chromium_test.go logs users in: Debian's, where there is none.
. "$(dirname "$0")/lib.bash"

command -v chromium >/dev/null && exit 0
apt_install chromium
command -v chromium >/dev/null || die 'there is no chromium in PATH'
