#!/usr/bin/env bash
# Fuzzes each target of the module at the top for a time. Each package is built
# once, with the instrumentation. What is found fails, and stays as a seed in the
# package's testdata/fuzz. What was interesting is kept where go test -fuzz keeps
# it, so that the next run goes on from there.
#
#   e2e/fuzz.sh TIME          TIME: as of go test -fuzztime (3s, 1000x)
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
corpus=$(go env GOCACHE)/fuzz

# fuzz PACKAGE DIR TARGET TIME SECONDS: for TIME, killed after SECONDS (0: never).
# Making what is interesting smaller, a minute each unless told, is not fuzzing.
fuzz() {
  (cd "$2" && timeout -k 5 "$5" "$bin/test" -test.run='^$' -test.fuzz="^$3\$" -test.fuzztime="$4" -test.fuzzminimizetime=100x \
    -test.fuzzcachedir="$corpus/$1") >"$bin/log" 2>&1
}

# Where the time ends while a worker is busy, Go may call that a failure (golang/go
# issue 75804). Only a count of executions has no such end, and shows a target that hangs.
ran_out() { grep -q '^ *context deadline exceeded$' "$bin/log" && ! grep -q 'Failing input' "$bin/log"; }

targets=0
failed=()
while read -r package dir; do
  grep -qs '^func Fuzz' "$dir"/*_test.go || continue
  go test -c -fuzz=. -o "$bin/test" "$package"
  for target in $("$bin/test" -test.list '^Fuzz'); do
    targets=$((targets + 1))
    if fuzz "$package" "$dir" "$target" "$1" 0 || { ran_out && fuzz "$package" "$dir" "$target" 500x 60; }; then
      printf '%-40s %s\n' "${package##*/} $target" "$(grep '^fuzz: elapsed' "$bin/log" | tail -n 1)"
    else
      cat "$bin/log"
      failed+=("$package $target")
    fi
  done
done < <(go list -f '{{.ImportPath}} {{.Dir}}' ./...)

[ $targets -gt 0 ] || { echo 'fuzz: no targets' >&2; exit 1; }
for f in "${failed[@]}"; do
  echo "fuzz: FAILED: $f" >&2
done
[ ${#failed[@]} = 0 ]
