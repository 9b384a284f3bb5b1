#!/usr/bin/env bash
# git for the test of the hook git: Debian's own, with git-http-backend, and the
# newer one of Debian trixie, which can send a Bearer token, in a folder of the cache
# that e2e/setup.sh uses too. As root, or as a user who may sudo.
set -euo pipefail

suite=trixie

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
die() { printf 'setup git: FAILED: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
apt_install() {
  echo "setup git: installing $*"
  { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null ||
    { tail -n 20 "$log" >&2; die "cannot install $*; it takes root or sudo"; }
}

mkdir -p "$cache"
tmp=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$tmp" 2>/dev/null || as_root rm -rf "$tmp"' EXIT
log=$tmp/log root=$tmp/root

have git || apt_install git ca-certificates
[ -x "$(git --exec-path)/git-http-backend" ] || die "this git has no git-http-backend: $(git --exec-path)"

dir=$cache/git-$suite
[ -x "$dir/usr/bin/git" ] && exit 0
have debootstrap || apt_install debootstrap

echo "setup git: bootstrapping git of Debian $suite (a minute or three, once)"
mkdir -m 755 "$root"
# --include has what git speaks HTTPS with; where its own mknod is forbidden, debootstrap says so.
PATH=$PATH:/usr/sbin as_root debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root" >"$log" 2>&1 </dev/null ||
  { tail -n 20 "$log" >&2; die "debootstrap $suite; it takes root or sudo"; }
as_root rm -rf "$root"/var/cache/apt/archives "$root"/var/lib/apt/lists "$root"/usr/share/doc "$root"/usr/share/locale "$root"/usr/share/man
as_root chmod 1777 "$root/tmp"
as_root mv -T "$root" "$dir"
