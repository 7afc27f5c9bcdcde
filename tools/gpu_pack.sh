#!/bin/sh
# Part of tools/gpu.sh: `--pack` is this. Takes root, build, out, python and other_python of it.
#
# The programs, stripped, and a Python package that is no set of links into the sources.
# shellcheck disable=SC2154
to=$(absolute "$out")
mkdir -p "$to/lib" "$to/python"
for program in tools/fms tests/runtime/runtime_gpu_test tests/tools/occupancy_gpu_test \
  tests/templates/building_blocks_gpu_test tests/templates/kernels_test; do
  [ -x "$build/$program" ] || fail "$build/$program isn't built"
  mkdir -p "$to/$(dirname $program)"
  strip -s -o "$to/$program" "$build/$program"
done
# What another distribution may not have.
ldd "$build/tools/fms" | sed -n 's/^\s*\(libfmt[^ ]*\) => \([^ ]*\) .*/\2/p' |
  while read -r library; do cp -L "$library" "$to/lib/"; done
rm -rf "$to/python/flashmoe_science"
cp -r "$root/python/flashmoe_science" "$to/python/"
cp "$build/python/flashmoe_science/_C.abi3.so" "$to/python/flashmoe_science/"
find "$to/python" -name __pycache__ -exec rm -rf {} +
strip -s "$to/python/flashmoe_science/_C.abi3.so"
ffi=$("$python" -c 'from importlib.metadata import version; print(version("apache-tvm-ffi"))')
platforms=$(for v in 34 31 28 27 24 17; do printf ' --platform manylinux_2_%d_x86_64' $v; done)
wheels=$(mktemp -d)
# shellcheck disable=SC2086
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version "$other_python" \
  --implementation cp $platforms -d "$wheels" "apache-tvm-ffi==$ffi" ||
  fail "no apache-tvm-ffi $ffi for Python $other_python"
for wheel in "$wheels"/*.whl; do "$python" -m zipfile -e "$wheel" "$to/python"; done
rm -rf "$wheels"
du -sh "$to" | sed 's/\t.*/ in '"$(basename "$to")"'/'
