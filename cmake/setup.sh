#!/usr/bin/env bash
# Installs the Debian packages gradflow needs, if any are missing. Usage: cmake/setup.sh [run|test|full]...
#   run   to build and run the program       test  also the tests       full  also what `tests/run.sh --full` needs
set -euo pipefail

run=(g++ cmake ninja-build git ca-certificates openmpi-bin libopenmpi-dev libopenblas-pthread-dev libhdf5-openmpi-dev
  libtbb-dev libtomlplusplus-dev libcli11-dev libfmt-dev nlohmann-json3-dev librandom123-dev libsleef-dev libhwy-dev
  libboost-dev libxxhash-dev zlib1g-dev)
test=(libgtest-dev libgmock-dev python3 python3-h5py python3-xarray python3-h5netcdf python3-netcdf4 netcdf-bin
  python3-torch hdf5-tools slurmctld slurmd slurm-client munge libpmix-dev)
full=(clang-14 libclang-rt-14-dev clang-format-14 iproute2 util-linux mount e2fsprogs)

wanted=("${run[@]}")
case ${1:-run} in
  run) ;;
  test) wanted+=("${test[@]}") ;;
  full) wanted+=("${test[@]}" "${full[@]}") ;;
  *) echo "usage: cmake/setup.sh [run|test|full]" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive

# The tests start daemons of their own: none of a package is to run because it was installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '"${as_root[@]}" rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod +x $policy
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
