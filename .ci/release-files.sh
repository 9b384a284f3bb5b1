#!/usr/bin/env bash
# Makes what a release has beside the program, into bin/share: manual pages,
# completions, licences, Debian's copyright and changelog. GoReleaser runs it first.
#
#   .ci/release-files.sh VERSION DATE       (DATE as 2026-11-24T12:00:00Z)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$1 date=${2%%T*}
unset GOOS GOARCH
umask 022
export LC_ALL=C

share=bin/share
rm -rf "$share"
mkdir -p "$share/completions"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -trimpath -o "$tmp" . ./docs/man
"$tmp/man" -version "$version" -date "$date" "$share/man"
for shell in bash:t2-cred.bash zsh:_t2-cred fish:t2-cred.fish powershell:t2-cred.ps1; do
  "$tmp/t2-cred" completion "${shell%%:*}" >"$share/completions/${shell#*:}"
done

# The licences of what is linked in on any system, Go's own library included.
modules=$(for os in linux darwin windows; do
  GOOS=$os go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' .
done | sort -u)
licence() { # NAME DIR
  local found=0 file
  for file in "$2"/LICEN[CS]E* "$2"/COPYING* "$2"/NOTICE*; do
    [ -f "$file" ] || continue
    found=1
    printf '\n%s\n%s\n\n' "$1" "$(basename "$file")"
    cat "$file"
  done
  [ $found = 1 ] || { echo "release-files: $1 has no licence in $2" >&2; exit 1; }
}
{
  echo 't2-cred is linked with the modules below, which come under these licences.'
  while read -r path module_version dir; do
    licence "$path $module_version" "$dir"
    # The Go authors' licence is the same for the library as for their modules.
    [ "$path" != golang.org/x/sys ] || licence 'The Go programming language, its library and runtime' "$dir"
  done <<<"$modules"
} >"$share/THIRD-PARTY-LICENSES"

{
  cat <<'COPYRIGHT'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: t2-cred
Source: https://github.com/terradue/t2-cred

Files: *
Copyright: Terradue
License: Apache-2.0
 On Debian systems, the full text of the Apache License version 2.0 is in
 /usr/share/common-licenses/Apache-2.0.
Comment: The program is linked with the modules below.
COPYRIGHT
  # A field's value goes on with a space, and an empty line is a dot.
  sed -e 's/[[:space:]]*$//' -e 's/^$/./' -e 's/^/ /' "$share/THIRD-PARTY-LICENSES"
} >"$share/copyright"

gzip -9n <CHANGELOG.md >"$share/changelog.gz"
