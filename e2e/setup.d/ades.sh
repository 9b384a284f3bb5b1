#!/usr/bin/env bash
# An OGC API Processes server, for e2e/pygeoapi_test.go: a virtual environment in the
# cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-ades 'import pygeoapi, boto3' pygeoapi==0.21.0 flask==3.1.3 requests==2.34.2 boto3==1.44.8
