#!/bin/sh
# Installs what this project needs and the machine lacks: Debian packages by name, and in .venv
# NVRTC from NVIDIA's wheels unless there is a CUDA toolkit. Asks for root only if a package is
# missing; with nothing missing it needs neither root nor network, and takes a moment.
#
#   tools/setup.sh               what building and running need
#   tools/setup.sh --test        and what testing needs
#   tools/setup.sh --test-build  only what building the tests needs: --test may run beside the build
#   WITH_LLVM=1 tools/setup.sh   and LLVM, for CPU targets; 0: not even where it would be installed
set -eu
cd "$(dirname "$0")/.."

# A program counts as present wherever it comes from; a library as the package that has its headers.
programs="g++:g++ cmake:cmake ninja:ninja-build python3:python3"
libraries="ca-certificates libcli11-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libsqlite3-dev
  libssl-dev"

# For CPU targets: LLVM 19 and clang as libraries. clang-19 has what CMake finds them by. 190 MB to
# fetch, 1.2 GB installed, so not for everyone: for the tests, where there is no GPU to run kernels
# on, and by WITH_LLVM=1; never with WITH_LLVM=0.
llvm="llvm-19-dev libclang-19-dev clang-19"

case "${1:-}" in
  "") ;;
  --test | --test-build)
    libraries="$libraries libgtest-dev python3-dev"
    llvm="$llvm libclang-rt-19-dev" # clang's sanitizers
    ;;
  *) echo "usage: tools/setup.sh [--test | --test-build]" >&2; exit 2 ;;
esac

say() { echo "setup: $*"; }

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

missing_packages() {
  for pair in $programs; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
  # ensurepip is what python3-venv adds to Debian's python3.
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  for package in $libraries; do
    installed "$package" || echo "$package"
  done
}

missing_llvm() {
  for package in $llvm; do
    installed "$package" || echo "$package"
  done
}

has_gpu() {
  [ -e /dev/nvidia0 ] || nvidia-smi -L 2>/dev/null | grep -q GPU ||
    { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; }
}

# "required": what was asked for needs LLVM. "welcome": only the CPU target does.
llvm_is() {
  if [ "${WITH_LLVM:-}" = 0 ]; then
    echo unwanted
  elif [ -n "${WITH_LLVM:-}" ] || [ "$1" != "" ]; then
    echo required
  elif has_gpu; then
    echo unwanted
  else
    echo welcome
  fi
}

# True if this distribution has all the packages in $1, as far as apt's lists tell.
available() {
  for package in $1; do
    apt-cache policy "$package" 2>/dev/null | grep -q '^  Candidate: [^(]' || return 1
  done
}

# Sets as_root to what it takes to become root. False if nothing does.
become_root() {
  as_root=""
  [ "$(id -u)" != 0 ] || return 0
  as_root="sudo"
  command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }
}

# The command that installs the packages in $1, for someone who may.
print_install_command() {
  command="apt-get update && apt-get install -y --no-install-recommends $1"
  echo >&2
  if command -v sudo >/dev/null; then
    echo "  sudo sh -c '$command'" >&2
  else
    echo "  su -c '$command'" >&2
  fi
}

apt() {
  # A machine that is just starting may still be holding apt's lock.
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# Installs the packages in $1. Without those that are only welcome, $2, all goes on.
install_packages() {
  say "installing with apt-get: $1"
  # shellcheck disable=SC2086  # one word a package
  if ! apt install -y --no-install-recommends $1; then
    if [ "$1" = "$2" ]; then
      say "apt-get failed, see above: CPU targets are left out"
      return
    fi
    echo "setup: apt-get failed, see above. On Ubuntu some of these packages are in 'universe':" >&2
    echo "  sudo add-apt-repository universe" >&2
    exit 1
  fi
}

# What is missing: $1 that everything needs, and $2 of LLVM, which is required or welcome, $3.
install_missing() {
  needed=$1
  llvm_wanted=$2
  # Where apt has lists and LLVM isn't on them, fetching them again at each make helps nobody.
  if [ -z "$needed" ] && available ca-certificates && ! available "$llvm_wanted"; then
    say "this distribution has no LLVM 19 ($llvm_wanted; on Ubuntu: in 'universe'):" \
      "CPU targets are left out"
    return
  fi
  if become_root; then
    apt update || say "apt-get can't fetch its lists; going on with those that are there"
    if [ -n "$llvm_wanted" ] && ! available "$llvm_wanted"; then
      say "this distribution has no LLVM 19 ($llvm_wanted; on Ubuntu: in 'universe'):" \
        "CPU targets are left out"
      llvm_wanted=""
    fi
    packages="$needed${llvm_wanted:+ $llvm_wanted}"
    [ "$3" = welcome ] && optional=$llvm_wanted || optional=none
    [ -z "$packages" ] || install_packages "${packages# }" "$optional"
  elif [ -z "$needed" ] && [ "$3" = welcome ]; then
    say "LLVM 19 isn't installed, and that takes root: CPU targets are left out. To have them:"
    print_install_command "$llvm_wanted"
  else
    packages="$needed${llvm_wanted:+ $llvm_wanted}"
    say "these packages are missing: ${packages# }"
    echo "setup: installing them takes root. Run this, then the same make again:" >&2
    print_install_command "${packages# }"
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

# PyTorch is the peer and a source of arrays in the tests; without it those skip. Where there is no
# GPU its CPU build, from PyTorch's own index, if that can be reached: PyPI's brings CUDA along.
pip_install_torch() {
  if .venv/bin/python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))'; then
    return
  fi
  has_gpu && index="" || index="--extra-index-url https://download.pytorch.org/whl/cpu"
  say "installing PyTorch into .venv, for the tests"
  # shellcheck disable=SC2086  # none, or an option and its value
  .venv/bin/python -m pip --disable-pip-version-check install -q --retries 0 $index torch==2.13.0 ||
    say "pip can't install PyTorch, see above: tests that need it skip"
}

if command -v dpkg-query >/dev/null; then
  missing=$(missing_packages | tr '\n' ' ')
  wish=$(llvm_is "${1:-}")
  [ "$wish" = unwanted ] && lacking="" || lacking=$(missing_llvm | tr '\n' ' ')
  [ -z "$missing$lacking" ] || install_missing "${missing% }" "${lacking% }" "$wish"
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
if [ -n "${1:-}" ]; then
  pip_install tools/python-build.txt "what the native module and the tests are built with"
fi
# With a GPU PyTorch brings a CUDA of its own, which no build may meet halfway.
if [ "${1:-}" = --test ] || { [ "${1:-}" = --test-build ] && has_gpu; }; then
  pip_install tools/python-tests.txt "what the tests import"
  pip_install_torch
fi
