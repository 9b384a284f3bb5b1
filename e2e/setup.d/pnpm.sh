#!/usr/bin/env bash
# pnpm 10 and 12, for the test of the hook pnpm: npm packages, in the cache that
# e2e/setup.sh uses too. Node.js and npm are Debian's, where there are none.
set -euo pipefail

case $(uname -m) in
  x86_64) arch=x64 ;;
  *) arch=arm64 ;;
esac
# The native program of pnpm 12 comes by itself: Debian 12's npm 9.2 dies in the
# middle of the package pnpm, which names one for each system.
packages=(pnpm@10.34.9 "@pnpm/exe.linux-$arch@12.21.0")
programs=(node_modules/.bin/pnpm "node_modules/@pnpm/exe.linux-$arch/pnpm")

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup pnpm: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

mkdir -p "$cache"
log=$(mktemp "$cache/tmp.XXXXXX")
trap 'rm -rf "$log" "$log.d"' EXIT
quietly() { "$@" >>"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; die "$*"; }; }

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo 'setup pnpm: installing nodejs npm'
  quietly as_root apt-get update -qq
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm
fi

for n in "${!packages[@]}"; do
  version=${packages[n]##*@}
  dir=$cache/pnpm-${version%%.*}
  [ "$(cat "$dir/installed" 2>/dev/null)" = "${packages[n]}" ] && continue
  echo "setup pnpm: fetching pnpm $version"
  quietly npm install --prefix "$log.d" --no-save --no-audit --no-fund "${packages[n]}"
  ln -s "${programs[n]}" "$log.d/pnpm"
  [ "$("$log.d/pnpm" --version)" = "$version" ] || die "pnpm $version does not run"
  printf '%s\n' "${packages[n]}" >"$log.d/installed"
  rm -rf "$dir"
  mv -T "$log.d" "$dir"
done
