# What the scripts of this directory have in common. Each sources it, and is run by
# itself or by e2e/setup.sh.
set -euo pipefail

tool=$(basename "$0" .sh)
cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}
mkdir -p "$cache"
# Of this run alone, on the disk of the cache, so that what is made here can be moved there.
tmp=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$tmp" 2>/dev/null || as_root rm -rf "$tmp"' EXIT

say() { printf 'setup %s: %s\n' "$tool" "$*"; }
die() { printf 'setup %s: FAILED: %s\n' "$tool" "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# try COMMAND...: shows what it said only when it fails.
try() { "$@" >"$tmp/log" 2>&1 </dev/null || { tail -n 20 "$tmp/log" >&2; die "$*"; }; }

apt_updated=
apt_update() {
  [ -n "$apt_updated" ] || try as_root apt-get update -qq
  apt_updated=1
}

# apt_install PACKAGE...: as root, or by sudo.
apt_install() {
  say "installing $*"
  apt_update
  try as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# apt_unpack PACKAGE: into a folder of its name in the cache, without installing it.
apt_unpack() {
  local dir=$cache/$1
  [ -d "$dir/usr/bin" ] && return
  say "unpacking $1"
  apt_update
  cd "$tmp"
  try apt-get download -qq "$1"
  try dpkg-deb -x "$1"_*.deb "$tmp/$1"
  cd "$OLDPWD"
  rm -rf "$dir"
  mv "$tmp/$1" "$dir"
}

# new_venv DIR: an empty Python environment.
new_venv() {
  rm -rf "$1"
  python3 -m venv "$1" >/dev/null 2>&1 && return
  apt_install python3 python3-venv # /usr/bin/python3 has ensurepip only with it
  rm -rf "$1"
  try python3 -m venv "$1"
}

# python_env NAME CODE PACKAGE...: an environment in the cache with just these, in
# which this code runs. Also what is in place is tried: its Python may have gone.
python_env() {
  local venv=$cache/$1 code=$2 want="${*:3}"
  [ "$(cat "$venv/installed" 2>/dev/null)" = "$want" ] && "$venv/bin/python3" -c "$code" 2>/dev/null && return
  say "making a Python environment with $want"
  new_venv "$venv"
  try "$venv/bin/python3" -m pip install -q --disable-pip-version-check "${@:3}"
  try "$venv/bin/python3" -c "$code"
  printf '%s' "$want" >"$venv/installed"
}

need_go() { command -v go >/dev/null || die 'go is missing: it is the one thing to install by hand'; }

# go_has PROGRAM MODULE VERSION: whether that is what a program was built from.
go_has() {
  grep -q "mod[[:space:]]$2[[:space:]]$3[[:space:]]" <<<"$(go version -m "$1" 2>/dev/null || true)"
}
