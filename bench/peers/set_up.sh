#!/usr/bin/env bash
# Makes the peer's own virtual environment, apart from Parley's: bench/peers/set_up.sh [PYTHON] [VENV]
# About 0.9 GB on disk. No model is downloaded: the peer uses the weights that Parley has.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3.11} venv=${2:-.venv-peers}

command -v "$python" >/dev/null || {
  echo "error: $python is not on the PATH: install Python 3.11, or say which one: $0 python3.12" >&2
  exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
echo "the peer is installed into $venv"
