#!/usr/bin/env bash
# pnpm 10 and 12, for the test of the hook pnpm: npm packages, in the cache that
# e2e/setup.sh uses too. Node.js and npm are Debian's, where there are none.
. "$(dirname "$0")/lib.bash"

case $(uname -m) in
  x86_64) arch=x64 ;;
  *) arch=arm64 ;;
esac
# The native program of pnpm 12 comes by itself: Debian 12's npm 9.2 dies in the
# middle of the package pnpm, which names one for each system.
packages=(pnpm@10.34.9 "@pnpm/exe.linux-$arch@12.21.0")
programs=(node_modules/.bin/pnpm "node_modules/@pnpm/exe.linux-$arch/pnpm")

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  apt_install nodejs npm
fi

for n in "${!packages[@]}"; do
  version=${packages[n]##*@}
  dir=$cache/pnpm-${version%%.*} new=$tmp/pnpm-$n
  [ "$(cat "$dir/installed" 2>/dev/null)" = "${packages[n]}" ] && continue
  say "fetching pnpm $version"
  try npm install --prefix "$new" --no-save --no-audit --no-fund "${packages[n]}"
  ln -s "${programs[n]}" "$new/pnpm"
  [ "$("$new/pnpm" --version)" = "$version" ] || die "pnpm $version does not run"
  printf '%s\n' "${packages[n]}" >"$new/installed"
  rm -rf "$dir"
  mv -T "$new" "$dir"
done
