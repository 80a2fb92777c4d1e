#!/usr/bin/env bash
# From a fresh machine to a first result: installs what is missing, builds, measures 120 networks of 200 layers as a
# pipeline over two MPI ranks, and leaves results/quickstart.h5 and results/quickstart.html. About three minutes the first
# time, seconds after that.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake/setup.sh run
cmake --preset release -DGRADFLOW_TESTS=OFF >/dev/null
cmake --build --preset release --target gradflow

gradflow=build/release/bin/gradflow
# Open MPI refuses to run as root (in a container, say) unless told twice, and more ranks than cores unless told once.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p results
mpirun -q -n 2 --oversubscribe --bind-to none $gradflow run jobs/sweeps/quickstart.toml -o results/quickstart.h5 --stages 2

$gradflow show results/quickstart.h5
$gradflow report results/quickstart.h5 -o results/quickstart.html
echo
echo "Open results/quickstart.html in a browser, or results/quickstart.h5 with xarray.open_dataset(...)."
