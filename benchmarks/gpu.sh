#!/usr/bin/env bash
# Pack what benchmarks.gpu needs on a machine without a package index: wheels for Python 3.12 on x86-64 Linux of what is
# missing beside JAX, PyTorch, NumPy, SciPy, pandas, h5py, Pillow, scikit-learn, matplotlib, click and Jinja. Prints the
# command to run there, in the root of this checkout, within 9 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

wheels=benchmarks/wheels
rm -rf "$wheels"
platforms=()
for glibc in 2_28 2_27 2_17; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
  "${platforms[@]}" --platform manylinux2014_x86_64 -d "$wheels" \
  "keras>=3.15,<4" optree namex rich "omegaconf>=2.4,<3" "pyswarms>=1.3,<2" future
"${PYTHON:-python3}" -m pip download --quiet --only-binary=:all: --python-version 3.12 --implementation cp \
  "${platforms[@]}" --platform manylinux2014_x86_64 -d "$wheels" "pydantic>=2.11,<3"  # its core must fit it: with what it needs

du -sh "$wheels" | sed 's/^/Packed: /'
cat <<COMMAND
Take this folder there, $wheels included, and run:

  python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site $wheels/*.whl
  export PYTHONPATH=/tmp/site KERAS_BACKEND=jax PYTHONUNBUFFERED=1
  timeout 530 python3 -m benchmarks.gpu --seconds 500 --log gpu.jsonl --markdown benchmarks/results/gpu.md
COMMAND
