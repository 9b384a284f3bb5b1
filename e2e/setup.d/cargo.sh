#!/usr/bin/env bash
# cargo 1.74 or later, for the test of the hook cargo. Where there is none it is
# Debian's: cargo-web, which Debian 12 keeps current for its browsers.
. "$(dirname "$0")/lib.bash"

candidate() { grep -q 'Candidate: [0-9]' <<<"$(apt-cache policy "$1" 2>/dev/null)"; }
if ! command -v cargo >/dev/null; then
  apt_update
  if candidate cargo-web; then apt_install cargo-web rustc-web; else apt_install cargo rustc; fi
fi

version=$(cargo --version | cut -d ' ' -f 2)
minor=${version#1.}
[ "${minor%%.*}" -ge 74 ] || die "cargo is $version, and credential providers came with 1.74; remove it, or install a newer one"
