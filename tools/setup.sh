#!/bin/sh
# Installs what this project needs and the machine lacks: Debian packages by name, and in .venv
# NVRTC from NVIDIA's wheels unless there is a CUDA toolkit. Asks for root only if a package is
# missing; with nothing missing it needs neither root nor network, and takes a moment.
#
#   tools/setup.sh           what building and running need
#   tools/setup.sh --test    and what testing needs
set -eu
cd "$(dirname "$0")/.."

# A program counts as present wherever it comes from; a library as the package that has its headers.
programs="g++:g++ cmake:cmake ninja:ninja-build python3:python3"
libraries="ca-certificates libcli11-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libsqlite3-dev
  libssl-dev"

case "${1:-}" in
  "") ;;
  --test) libraries="$libraries libgtest-dev" ;;
  *) echo "usage: tools/setup.sh [--test]" >&2; exit 2 ;;
esac

say() { echo "setup: $*"; }

missing_packages() {
  for pair in $programs; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
  # ensurepip is what python3-venv adds to Debian's python3.
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  for package in $libraries; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
      echo "$package"
  done
}

# The packages in $1, by root or sudo; if neither is at hand, the command for someone who has them.
install_packages() {
  command="apt-get update && apt-get install -y --no-install-recommends $1"
  say "these packages are missing: $1"
  if [ "$(id -u)" = 0 ]; then
    as_root=""
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
    as_root="sudo"
  else
    echo "setup: installing them takes root. Run this, then the same make again:" >&2
    echo >&2
    if command -v sudo >/dev/null; then
      echo "  sudo sh -c '$command'" >&2
    else
      echo "  su -c '$command'" >&2
    fi
    exit 1
  fi
  say "installing them with apt-get"
  # A machine that is just starting may still be holding apt's lock.
  apt="env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300"
  $as_root $apt update
  # shellcheck disable=SC2086  # one word a package
  if ! $as_root $apt install -y --no-install-recommends $1; then
    echo "setup: apt-get failed, see above. On Ubuntu some of these packages are in 'universe':" >&2
    echo "  sudo add-apt-repository universe" >&2
    exit 1
  fi
}

# The root of a CUDA toolkit with NVRTC and its headers, or nothing. CUDA 12.8 is the first that
# compiles for sm_120.
find_toolkit() {
  for root in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda /usr/local/cuda-*; do
    [ -n "$root" ] && [ -f "$root/include/nvrtc.h" ] && [ -f "$root/include/cuda.h" ] || continue
    version=$(sed -n 's/^#define CUDA_VERSION \([0-9]*\)$/\1/p' "$root/include/cuda.h")
    [ "${version:-0}" -ge 12080 ] || continue
    for library in "$root"/lib64/libnvrtc.so.* "$root"/lib/libnvrtc.so.*; do
      if [ -e "$library" ]; then
        echo "$root"
        return
      fi
    done
  done
}

# Installs the requirements file $1 into .venv, for the reason $2. The stamp is named by what it
# stands for, so a changed file or another Python installs anew.
pip_install() {
  stamp=.venv/.fms-$(basename "$1" .txt)-$({ cat "$1"; .venv/bin/python --version; } | sha256sum |
    cut -c1-16)
  [ ! -e "$stamp" ] || return 0
  say "installing from PyPI into .venv: $2"
  if ! .venv/bin/python -m pip --disable-pip-version-check install -q -r "$1"; then
    echo "setup: pip failed, see above. It needs the network: pypi.org, or an index that pip's" >&2
    echo "  configuration names (PIP_INDEX_URL)" >&2
    exit 1
  fi
  touch "$stamp"
}

if command -v dpkg-query >/dev/null; then
  missing=$(missing_packages | tr '\n' ' ')
  [ -z "$missing" ] || install_packages "${missing% }"
else
  say "this is neither Debian nor Ubuntu: the packages are yours to install:" $libraries
fi

# A virtual environment doesn't survive being moved, or its Python being replaced.
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  say "making the virtual environment .venv"
  python3 -m venv --clear .venv
fi

toolkit=$(find_toolkit)
if [ -n "$toolkit" ]; then
  say "NVRTC is there: the CUDA toolkit in $toolkit"
else
  pip_install tools/nvrtc.txt "NVRTC and its headers, since there is no CUDA toolkit with them"
fi
if [ "${1:-}" = --test ]; then
  pip_install tools/python-tests.txt "pytest, hypothesis and numpy, for the tests"
fi
