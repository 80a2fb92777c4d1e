#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors, and runs every test with CTest.
#   tests/run.sh          g++, release
#   tests/run.sh --full   then also clang 14, the sanitizers of memory and of threads, libFuzzer, and the tests of the
#                         configuration `full`: many pulled plugs, jobs ended in every way under Slurm, several hosts and
#                         power cuts (as root)
set -euo pipefail
cd "$(dirname "$0")/.."

full=no
case ${1:-} in
  "") ;;
  --full) full=yes ;;
  *) echo "usage: tests/run.sh [--full]" >&2; exit 2 ;;
esac

# One build tree per preset under build/; two tests at a time, except those that need both cores. check PRESET [CTEST OPTIONS]
check() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1"
  ctest --preset "$1" -j 2 "${@:2}"
}

if [ $full = yes ]; then
  cmake/setup.sh full
  git ls-files '*.hpp' '*.cpp' | xargs clang-format-14 --dry-run --Werror
  check clang
  check asan-ubsan
  check tsan
  check fuzz
  check ci -C full
else
  cmake/setup.sh test
  check ci
fi
