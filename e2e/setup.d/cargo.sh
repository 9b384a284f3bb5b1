#!/usr/bin/env bash
# cargo 1.74 or later, for the test of the hook cargo. Where there is none it is
# Debian's: cargo-web, which Debian 12 keeps current for its browsers.
set -euo pipefail

die() { printf 'setup cargo: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
candidate() { grep -q 'Candidate: [0-9]' <<<"$(apt-cache policy "$1" 2>/dev/null)"; }

if ! command -v cargo >/dev/null; then
  as_root apt-get update -qq >/dev/null </dev/null || die 'apt-get update'
  packages=(cargo rustc)
  candidate cargo-web && packages=(cargo-web rustc-web)
  echo "setup cargo: installing ${packages[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null </dev/null ||
    die "cannot install ${packages[*]}; it takes root or sudo"
fi

version=$(cargo --version | cut -d ' ' -f 2)
minor=${version#1.}
[ "${minor%%.*}" -ge 74 ] || die "cargo is $version, and credential providers came with 1.74; remove it, or install a newer one"
