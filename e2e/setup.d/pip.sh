#!/usr/bin/env bash
# pip, an old and a new one, uv, Python's own keyring and twine, for the test of the
# hook keyring: virtual environments in the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

python_env pip-old '' pip==23.2.1
python_env pip-new '' pip==26.3 uv==0.13.9
# By itself, since pip does not run what lies beside it.
python_env python-keyring '' keyring==25.7.0
python_env twine '' twine==7.0.0
