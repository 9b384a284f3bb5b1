#!/usr/bin/env bash
# oidc-provider-mock, for the tests TestMore_Mock…: an issuer with opaque access tokens and
# no revocation. A virtual environment in the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/../lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-oidcmock 'import oidc_provider_mock' oidc-provider-mock==0.3.4
