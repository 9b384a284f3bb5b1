#!/usr/bin/env bash
# node's oidc-provider, the second issuer that is tried, for oidcprovider_test.go: an npm
# package, in the cache that e2e/setup.sh uses too. Node.js and npm are Debian's, where
# there are none; it wants Node.js 22, so where that is older it gets one of its own.
. "$(dirname "$0")/lib.bash"

case $(uname -m) in
  x86_64) arch=x64 ;;
  *) arch=arm64 ;;
esac
package=oidc-provider@9.13.3
runtime=node-linux-$arch@22.23.3

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  apt_install nodejs npm
fi
dir=$cache/oidc-provider
[ "$(cat "$dir/installed" 2>/dev/null)" = "$package" ] && "$dir/node" --version >/dev/null && exit 0
say "fetching $package"
try npm install --prefix "$tmp/new" --no-save --no-audit --no-fund "$package"
node=$(command -v node)
if [ "$("$node" -p 'process.versions.node.split(".")[0]')" -lt 22 ]; then
  say "fetching $runtime"
  try npm install --prefix "$tmp/new" --no-save --no-audit --no-fund "$package" "$runtime"
  node=node_modules/node-linux-$arch/bin/node
fi
ln -s "$node" "$tmp/new/node"
"$tmp/new/node" -e "import('$tmp/new/node_modules/oidc-provider/lib/index.js').catch(() => process.exit(1))" ||
  die "$package does not load"
printf '%s\n' "$package" >"$tmp/new/installed"
rm -rf "$dir"
mv -T "$tmp/new" "$dir"
