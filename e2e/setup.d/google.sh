#!/usr/bin/env bash
# google-auth, for the test of the hook google: a Python environment in the cache
# that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

python_env google 'import google.auth, requests' google-auth==2.63.0 requests==2.34.2
