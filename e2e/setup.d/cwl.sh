#!/usr/bin/env bash
# A CWL runner, for e2e/pygeoapi_test.go: a virtual environment in the cache that
# e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-cwl 'import cwltool' cwltool==3.3.20260925135507 requests==2.34.2
