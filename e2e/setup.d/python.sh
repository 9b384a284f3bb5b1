#!/usr/bin/env bash
# What uses the Python module and its keyring backend, for e2e/python_test.go: a virtual
# environment in the cache that e2e/setup.sh uses too. pdm 2.29.4 does not start with
# hishel 2.
. "$(dirname "$0")/lib.bash"

command -v python3 >/dev/null || apt_install python3 python3-venv
/usr/bin/python3 -c 'from osgeo import gdal' 2>/dev/null || apt_install python3 python3-gdal
python_env venv-python 'import boto3, httpx, keyring, obstore, pdm, poetry, pystac_client, pytest, rasterio, requests, trio, twine, hatch' \
  pytest==9.2.0 requests==2.34.2 httpx==0.28.1 trio==0.35.0 boto3==1.44.8 obstore==0.12.1 rasterio==1.4.4 pystac-client==0.9.1 \
  keyring==25.7.0 poetry==2.5.1 hatch==1.18.2 twine==7.0.0 pdm==2.29.4 hishel==1.4.0 mypy==2.4.1
