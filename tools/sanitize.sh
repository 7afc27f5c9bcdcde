#!/bin/sh
# Builds and runs the tests with sanitizers: tools/sanitize.sh PRESET... (asan, ubsan, tsan).
#
# A sanitizer can be at odds with the machine and not with the code: containers forbid the ptrace
# that the leak check needs, and kernels place memory where TSan of g++ 12 doesn't expect it. A
# program that does nothing shows which; what had to be left out is said.
set -eu
cd "$(dirname "$0")/.."

probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int main() {}' >"$probe/nothing.cpp"
# clang builds in half the time that g++ takes, where it has its sanitizers.
compiler=g++
if clang++-19 -fsanitize=address -o "$probe/nothing" "$probe/nothing.cpp" 2>/dev/null; then
  compiler=clang++-19
fi

# True if a program that does nothing, built with -fsanitize=$1, ends well. The rest runs it.
does_run() {
  sanitizer=$1
  shift
  "$compiler" -fsanitize="$sanitizer" -o "$probe/nothing" "$probe/nothing.cpp"
  "$@" "$probe/nothing" >/dev/null 2>&1
}

for preset in "$@"; do
  run=""
  case "$preset" in
    asan)
      FMS_TEST_ASAN_OPTIONS=""
      if ! does_run address env; then
        echo "sanitize: this machine doesn't let LeakSanitizer trace: leaks are not checked"
        FMS_TEST_ASAN_OPTIONS="detect_leaks=0"
      fi
      export FMS_TEST_ASAN_OPTIONS
      ;;
    tsan)
      if ! does_run thread env; then
        if does_run thread setarch -R; then
          run="setarch -R"  # without address space randomisation
        else
          echo "sanitize: ThreadSanitizer can't start on this kernel (vm.mmap_rnd_bits is more" \
            "than 28): tsan is left out"
          continue
        fi
      fi
      ;;
  esac
  echo "sanitize: $preset"
  # With another compiler than before CMake forgets all that a preset sets, sanitizers too.
  cmake --preset "$preset" --fresh -DCMAKE_CXX_COMPILER="$compiler"
  cmake --build --preset "$preset"
  $run ctest --preset "$preset"
done
