#!/usr/bin/env bash
# Installs what the tests of e2e need and what is missing here: Debian packages by
# name, Keycloak through Maven, the linters through Go. Run again, it finds all in
# place and does nothing. As root, or as a user who may sudo.
#
#   e2e/setup.sh [race] [lint] [keyring] [keycloak] [openbao] [bench] [hooks] [more]
#
# Without an argument it installs all but more, which make test-more alone needs.
#
# What is downloaded and built is kept outside the checkout, in
# ${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}.
set -euo pipefail

keycloak_version=26.7.3
# Raised when the build options below change, so that older builds are left alone.
keycloak_build=3
dependency_plugin=3.6.0
golangci_lint=v2.15.0
govulncheck=v1.9.0
actionlint=v1.7.12
python_packages=(authlib==1.9.6 requests==2.34.2 cryptography==50.0.2)

cache=${T2_CRED_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2-cred-e2e}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: FAILED: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    return 1
  fi
}

# need COMMAND PACKAGE...: the packages are installed when the command is missing.
wanted=()
wanted_for=()
need() {
  local command=$1
  shift
  have "$command" && return
  wanted+=("$@")
  wanted_for+=("$command")
}

# install what the calls of need found missing, in one go.
install_wanted() {
  [ ${#wanted[@]} -gt 0 ] || return 0
  local log
  have apt-get || die "missing: ${wanted_for[*]}; this is no Debian, so install by hand what Debian calls ${wanted[*]}"
  say "installing ${wanted[*]}"
  log=$(mktemp)
  if ! { as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "cannot install what is needed for ${wanted_for[*]}; it takes root or sudo. As root: apt-get install ${wanted[*]}"
  fi
  rm -f "$log"
  local command
  for command in "${wanted_for[@]}"; do
    have "$command" || die "$command is still missing after installing ${wanted[*]}"
  done
  wanted=()
  wanted_for=()
}

java_major() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

# The race detector needs a C compiler and the headers of the C library.
setup_race() {
  need gcc gcc libc6-dev
  install_wanted
}

setup_keyring() {
  need dbus-daemon dbus-daemon
  need dbus-send dbus-bin
  need gnome-keyring-daemon gnome-keyring
  need secret-tool libsecret-tools
  need setpriv util-linux
  need strace strace
  install_wanted
}

setup_keycloak() {
  need java default-jre-headless
  need curl curl
  install_wanted
  local major
  major=$(java_major)
  [ "${major:-0}" -ge 17 ] || die "java: Keycloak needs version 17 or later, this is ${major:-unknown}"

  local name=keycloak-$keycloak_version-$keycloak_build
  if [ ! -e "$cache/$name/lib/quarkus-run.jar" ]; then
    need mvn maven
    install_wanted
    local tmp log
    tmp=$(mktemp -d "$cache/tmp.XXXXXX")
    log=$tmp/log
    say "fetching Keycloak $keycloak_version (170 MB, unless Maven has it already)"
    mvn -B -q -C "org.apache.maven.plugins:maven-dependency-plugin:$dependency_plugin:copy" \
      -Dartifact="org.keycloak:keycloak-quarkus-dist:$keycloak_version:tar.gz" \
      -DoutputDirectory="$tmp" >"$log" 2>&1 </dev/null ||
      { tail -n 20 "$log" >&2; rm -rf "$tmp"; die "keycloak: Maven cannot fetch org.keycloak:keycloak-quarkus-dist:$keycloak_version:tar.gz"; }
    tar -xzf "$tmp/keycloak-quarkus-dist-$keycloak_version.tar.gz" -C "$tmp" --no-same-owner
    say "building Keycloak for a fast start"
    # Chosen here, once: with `start-dev` each first start would spend 30 s on it.
    # The database is in memory, so that parallel servers never meet.
    "$tmp/keycloak-$keycloak_version/bin/kc.sh" build --db=dev-mem --http-relative-path=/auth --https-client-auth=request \
      --features=token-exchange,admin-fine-grained-authz:v1,client-auth-federated,kubernetes-service-accounts,spiffe >"$log" 2>&1 </dev/null ||
      { tail -n 20 "$log" >&2; rm -rf "$tmp"; die "keycloak: kc.sh build"; }
    rm -rf "${cache:?}/$name"
    mv "$tmp/keycloak-$keycloak_version" "$cache/$name"
    rm -rf "$tmp"
  fi
  ln -sfn "$name" "$cache/keycloak"
}

setup_bench() {
  need hyperfine hyperfine
  need docker-credential-secretservice golang-docker-credential-helpers
  need oidc-agent oidc-agent-cli
  need curl curl
  need python3 python3 python3-venv
  install_wanted
  setup_keyring

  local venv=$cache/venv want="${python_packages[*]}"
  [ "$(cat "$venv/installed" 2>/dev/null)" = "$want" ] && return
  say "making a Python environment with $want"
  rm -rf "$venv"
  if ! python3 -m venv "$venv" >/dev/null 2>&1; then
    wanted=(python3-venv)
    wanted_for=(python3)
    install_wanted
    rm -rf "$venv"
    python3 -m venv "$venv" || die "bench: python3 -m venv"
  fi
  "$venv/bin/pip" install -q --disable-pip-version-check "${python_packages[@]}" </dev/null ||
    die "bench: pip cannot install $want"
  printf '%s' "$want" >"$venv/installed"
}

# go_tool COMMAND MODULE PACKAGE VERSION: built once for each version of it and of Go.
go_tool() {
  local bin=$cache/bin/$1 module=$2 package=$3 version=$4 info
  info=$(go version -m "$bin" 2>/dev/null || true)
  if grep -q "mod[[:space:]]${module}[[:space:]]${version}[[:space:]]" <<<"$info" &&
    grep -q ": $(go env GOVERSION)\$" <<<"$info"; then
    return
  fi
  say "building $1 $version"
  # A target set for a cross-build is not meant for the tools.
  env -u GOOS -u GOARCH GOBIN="$cache/bin" CGO_ENABLED=0 go install "$package@$version" </dev/null ||
    die "lint: go install $package@$version"
}

setup_lint() {
  go_tool golangci-lint github.com/golangci/golangci-lint/v2 github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci_lint"
  go_tool govulncheck golang.org/x/vuln golang.org/x/vuln/cmd/govulncheck "$govulncheck"
  go_tool actionlint github.com/rhysd/actionlint github.com/rhysd/actionlint/cmd/actionlint "$actionlint"
}

# What the tests TestMore_* need, one file each, like those of setup_hooks.
setup_more() {
  local part
  for part in "$(dirname "$0")"/setup.d/more/*.sh; do
    [ -e "$part" ] || continue
    bash "$part" </dev/null || die "more: $(basename "$part" .sh)"
  done
}

# The engine of a shared store. setup_hooks installs it too.
setup_openbao() { bash "$(dirname "$0")/setup.d/openbao.sh" </dev/null || die openbao; }

# The tools whose hooks are tested, and what a job server is made of, one file each; each
# finds its own in place and does nothing.
setup_hooks() {
  local tool
  for tool in "$(dirname "$0")"/setup.d/*.sh; do
    bash "$tool" </dev/null || die "hooks: $(basename "$tool" .sh)"
  done
}

have go || die "go is missing: it is the one thing to install by hand"
mkdir -p "$cache/bin" || die "cannot make $cache"
# Two runs at once would do everything twice, and in each other's way.
if have flock; then
  exec 9>"$cache/lock"
  flock -w 1800 9 || die "another setup.sh has held $cache/lock for 30 minutes"
fi

[ $# -gt 0 ] || set -- race lint keyring keycloak bench hooks
for part; do
  case $part in
    race | lint | keyring | keycloak | openbao | bench | hooks | more) "setup_$part" ;;
    *) die "no part is called $part: race, lint, keyring, keycloak, openbao, bench, hooks, more" ;;
  esac
done
say "ready: $*"
