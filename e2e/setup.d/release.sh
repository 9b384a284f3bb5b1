#!/usr/bin/env bash
# What makes a release, and what looks at one: GoReleaser and the tool that lists what
# is in a binary, built once from their Go modules into the cache that e2e/setup.sh
# uses too; man, dpkg, rpm and shells of Debian's.
set -euo pipefail

# GoReleaser 2.17 asks for a module that cannot be had everywhere, 2.18 for Go 1.27.
goreleaser=v2.16.0
cyclonedx=v1.10.0

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup release: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
command -v go >/dev/null || die 'go is missing: it is the one thing to install by hand'

mkdir -p "$cache/bin"
log=$(mktemp "$cache/tmp.XXXXXX")
trap 'rm -f "$log"' EXIT

packages=()
for pair in man:man-db groff:groff-base dpkg-deb:dpkg rpm:rpm git:git gzip:gzip python3:python3 fish:fish zsh:zsh; do
  command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
[ -e /usr/share/bash-completion/bash_completion ] || packages+=(bash-completion)
if [ ${#packages[@]} -gt 0 ]; then
  echo "setup release: installing ${packages[*]}"
  { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null ||
    { tail -n 20 "$log" >&2; die "cannot install ${packages[*]}; it takes root or sudo"; }
fi

# tool COMMAND MODULE PACKAGE VERSION
tool() {
  local bin=$cache/bin/$1 info
  info=$(go version -m "$bin" 2>/dev/null || true)
  grep -q "mod[[:space:]]$2[[:space:]]$4[[:space:]]" <<<"$info" && return
  echo "setup release: building $1 $4 (some minutes, once)"
  env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 nice \
    go install -trimpath -ldflags='-s -w' "$3@$4" >"$log" 2>&1 </dev/null ||
    { tail -n 20 "$log" >&2; die "go install $3@$4"; }
}
tool goreleaser github.com/goreleaser/goreleaser/v2 github.com/goreleaser/goreleaser/v2 "$goreleaser"
tool cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod "$cyclonedx"
