#!/usr/bin/env bash
# The generator of the site, for make site and e2e/site_test.go: a virtual environment in
# the cache that e2e/setup.sh uses too. Only make site and make test-more want it.
. "$(dirname "$0")/../lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-site 'import material' mkdocs==1.6.1 mkdocs-material==9.8.1
