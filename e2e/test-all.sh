#!/usr/bin/env bash
# `make test` and `make test-more`: every step, each to its end, and a summary. Fails if
# any step failed. The first step installs what the others need.
#
#   e2e/test-all.sh SETUP STEP...     each a target of the Makefile
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary=()
failed=0

step() {
  local name=$1 began=$SECONDS verdict=ok
  printf '\n=== %s\n' "$name"
  if ! make --no-print-directory "$name" 2>&1 </dev/null | tee "$log"; then
    verdict=FAILED
    failed=$((failed + 1))
  fi
  summary+=("$(printf '%-10s %-6s %4d s' "$name" "$verdict" $((SECONDS - began)))")
  # What a step could not do must not scroll away.
  while IFS= read -r line; do
    summary+=("           $line")
  done < <(grep '^NOT CHECKED' "$log" || true)
  # Nor what failed: some who read this are shown the end alone.
  [ $verdict = ok ] || while IFS= read -r line; do
    summary+=("           ${line:0:400}")
  done < <(grep -E '^ *--- FAIL|^ +[a-z_0-9]+_test\.go:[0-9]+: |DATA RACE|^panic: ' "$log" | head -40 || true)
}

step "$1"
if [ $failed = 0 ]; then
  for name in "${@:2}"; do
    step "$name"
  done
else
  summary+=('nothing else was run')
fi

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
printf '%-10s %-6s %4d s\n' total "$([ $failed = 0 ] && echo ok || echo FAILED)" "$SECONDS"
[ $failed = 0 ]
