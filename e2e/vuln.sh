#!/usr/bin/env bash
# Runs govulncheck on the module at the top. A finding fails. A machine from which
# the database of vulnerabilities cannot be reached is told so, loudly, and that
# fails only with CI_REQUIRE_VULN=1.
#
#   e2e/vuln.sh GOVULNCHECK
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
out=$("$1" ./... 2>&1) || status=$?
printf '%s\n' "$out"
[ $status != 0 ] || exit 0

unreachable='fetching vulnerabilities: .*(no such host|dial tcp|i/o timeout|connection refused|connection reset|unreachable|Temporary failure|deadline exceeded)'
if [ "${CI_REQUIRE_VULN:-}" != 1 ] && grep -Eq "$unreachable" <<<"$out"; then
  echo "NOT CHECKED: govulncheck cannot reach its database from here, so known vulnerabilities were not looked for" >&2
  exit 0
fi
exit $status
