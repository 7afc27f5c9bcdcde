#!/bin/sh
# Installs a wheel of the Python package into an empty environment of each Python that the machine
# has, from 3.10 on, and runs README's quick start there: on the CPU, with NumPy alone, and with
# nothing of this folder in sight. Says what each environment printed, and which Pythons that the
# package is for aren't there. Exits 1 if something fails, or if there is no such Python at all.
#
#   tools/check_wheel.sh WHEEL
#
# Pythons are taken from PATH (python3.10, ...) and from pyenv; pip fetches NumPy and tvm-ffi.
set -eu
cd "$(dirname "$0")/.."
wheel=$(realpath "${1:?usage: tools/check_wheel.sh WHEEL}")
promised="10 11 12 13"
newer="14 15 16"

say() { echo "wheel: $*"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp tools/try_wheel.py "$work"
awk '/<!-- end of quick start -->/ { on = 0 }
     on && !/^```/ { print }
     /<!-- quick start -->/ { on = 1 }' README.md >"$work/quick_start.py"

# The Python 3.$1, if it can make environments: pyenv has shims of Pythons that aren't there.
find_python() {
  for python in "python3.$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$1".*/bin/python; do
    if "$python" -c "import ensurepip, sys, venv; sys.exit(sys.version_info[1] != $1)" 2>/dev/null
    then
      echo "$python"
      return
    fi
  done
}

# Runs the environment $1's Python with $2..., and with nothing of this shell but where libraries
# may be.
inside() {
  environment=$1
  shift
  (cd "$environment/empty" && env -i PATH=/usr/bin:/bin HOME="$environment/empty" LANG=C.UTF-8 \
    LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" FMS_CACHE_DIR="$environment/store" \
    "$environment/bin/python" "$@")
}

# Makes the environment $1 of the Python $2, and asks of it all that there is to ask.
check() {
  "$2" -m venv "$1" && mkdir "$1/empty" &&
    "$1/bin/python" -m pip --disable-pip-version-check -qq install "$wheel" numpy &&
    "$1/bin/python" -m pip --disable-pip-version-check check &&
    inside "$1" "$work/try_wheel.py" "$work/quick_start.py" &&
    inside "$1" "$work/try_wheel.py"
}

passed=""
failed=""
missing=""
for minor in $promised $newer; do
  python=$(find_python "$minor")
  if [ -n "$python" ]; then
    say "$("$python" --version), an empty environment"
    if check "$work/3.$minor" "$python" >"$work/log" 2>&1; then
      passed="$passed 3.$minor"
    else
      failed="$failed 3.$minor"
    fi
    sed 's/^/    /' "$work/log"
  else
    case " $promised " in *" $minor "*) missing="$missing 3.$minor" ;; esac
  fi
done
say "$(basename "$wheel") runs in${passed:- none}${failed:+, fails in$failed}"
[ -z "$missing" ] || say "not on this machine, and so not tried:$missing"
[ -z "$failed" ] && [ -n "$passed" ]
