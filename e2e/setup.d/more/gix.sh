#!/usr/bin/env bash
# gitoxide's gix, for the test of the hook git: built from its crate, which takes some ten minutes.
. "$(dirname "$0")/../lib.bash"

version=0.61.0
[ "$("$cache/bin/gix" --version 2>/dev/null)" = "gix $version" ] && exit 0
command -v cargo >/dev/null || apt_install cargo
say "building gix $version (some ten minutes, once)"
# It is run a few times: what an optimized build costs is never saved.
try env CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 nice \
  cargo install "gitoxide@$version" --locked --no-default-features --features max-pure --root "$tmp/gix" --target-dir "$tmp/target"
mkdir -p "$cache/bin"
mv "$tmp/gix/bin/gix" "$cache/bin/gix"
