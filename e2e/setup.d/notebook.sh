#!/usr/bin/env bash
# What executes and renders the notebook, for e2e/notebook_test.go: a virtual environment
# in the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-notebook 'import ipykernel, nbclient, nbconvert' nbclient==0.11.0 nbformat==5.11.1 ipykernel==7.4.0 nbconvert==7.17.0 requests==2.34.2
