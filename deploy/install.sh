#!/usr/bin/env bash
# Makes a virtual environment with everything that Parley needs: deploy/install.sh PYTHON VENV
# Without a GPU it takes a CPU build of torch, which is a tenth of the CUDA one.
set -euo pipefail
python=$1 venv=$2
cpu_index=https://download.pytorch.org/whl/cpu

command -v "$python" >/dev/null || {
  echo "error: $python is not on the PATH: install Python 3.11, or say which one: make install PYTHON=python3.12" >&2
  exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
torch=$(grep '^torch==' constraints.txt)

if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
  echo "GPU found: about 4 GB of packages to download (torch with CUDA is most of it)"
else
  echo "no GPU: about 0.7 GB of packages to download (torch for CPUs is 0.2 GB of it)"
  if "$python" - "$cpu_index" <<'PY'
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=3).close()
except OSError:
    sys.exit(1)
PY
  then
    "$venv/bin/pip" install --quiet --disable-pip-version-check --index-url "$cpu_index" "$torch"
  fi
fi
"$venv/bin/pip" install --disable-pip-version-check -c constraints.txt "$torch"
"$venv/bin/pip" install --disable-pip-version-check -c constraints.txt -e '.[piper,cloud,dev]'
echo "installed into $venv"
