#!/usr/bin/env bash
# Python tools for Earth observation, for the tests of write (GDAL in rasterio's
# wheel, py-rattler) and of docs/recipes/python.md: a virtual environment in the
# cache that e2e/setup.sh uses too; systemd for the check of a unit file, and curl.
. "$(dirname "$0")/lib.bash"

command -v systemd-analyze >/dev/null || apt_install systemd
command -v curl >/dev/null || apt_install curl ca-certificates
command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-eo 'import rasterio, rattler' rasterio==1.4.4 requests==2.34.2 pystac-client==0.9.1 openeo==0.53.0 eodag==4.10.1 \
  py-rattler==0.28.0
