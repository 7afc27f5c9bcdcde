#!/bin/sh
# Checks what a compiler doesn't: where includes point, who may include what of others, sizes,
# words, and the format. Prints each fault as FILE:LINE: what, and exits 1 if there is one.
#
#   tools/lint.sh             all
#   tools/lint.sh --no-format all but clang-format, whose versions differ
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

faults=$(mktemp)
trap 'rm -f "$faults"' EXIT

# Our files by these names, all of them but the root's texts.
files() {
  for name in "$@"; do
    find CMakeLists.txt cache compiler python runtime templates tests tools -type f -name "$name" \
      2>/dev/null || true  # a folder may not be there yet
  done
}

# Notes a fault, $1, at each line that grep found.
note() { cut -d: -f1,2 | while read -r place; do echo "$place: $1"; done >>"$faults"; }

# What matches $1 in the files on standard input is the fault $2.
forbid() { { xargs -r grep -nHE "$1" || true; } | note "$2"; }

# The table of ARCHITECTURE.md: a folder may include itself and what stands above it.
layer() {
  folder=$1
  allowed=$2
  { files '*.h' '*.cpp' | grep "^$folder/" | xargs -r grep -nHE '^#include "' |
    grep -vE "#include \"($allowed)/" || true; } |
    note "$folder/ may include only $allowed (ARCHITECTURE.md, Folders)"
}
layer templates 'templates'
layer compiler 'compiler|templates'
layer cache 'cache|compiler|templates'
layer runtime 'runtime|cache|compiler|templates'
layer python 'python|runtime|cache|compiler|templates'
layer tools 'tools|runtime|cache|compiler|templates'

# The LLVM library is opened at run time: others know its interface, and nothing of its inside.
{ files '*.h' '*.cpp' | grep -v '^compiler/llvm/' || true; } |
  forbid '^#include "compiler/llvm/' 'compiler/llvm/ is included only by itself'

# The headers of others, each in a few named files: a change of library is a change there.
# third_party PATTERN FILES...: only FILES (an extended regular expression) may include it.
third_party() {
  { files '*.h' '*.cpp' | grep -vE "^($2)\$" || true; } |
    forbid "^#include <($1)" "<$1> is included only in $2 (tools/lint.sh)"
}
third_party 'sqlite3\.h' 'cache/sqlite\.(h|cpp)'
third_party 'nvrtc\.h' 'compiler/nvrtc_[a-z]+\.(h|cpp)'
third_party 'cuda\.h' 'runtime/driver\.(h|cpp)'
third_party '(llvm|clang)(-c)?/' 'compiler/llvm/[a-z_]+\.(h|cpp)'
third_party 'openssl/' 'compiler/digest\.cpp'
third_party 'spdlog/' 'runtime/log\.cpp'
third_party 'Python\.h' 'python/native/python_api\.h'
third_party '(tvm|dlpack)/' 'python/native/[a-z_]+\.(h|cpp)'
third_party 'gtest/' 'tests/.*'
third_party 'CLI/' 'tools/fms/.*'
third_party 'nlohmann/' \
  'cache/.*\.cpp|runtime/manifest\.cpp|runtime/ops/attention_evidence\.cpp|tools/.*|tests/.*'

files '*.h' '*.cpp' '*.cuh' '*.cu' '*.py' '*.sh' '*.cmake' CMakeLists.txt >"$faults.code"
forbid '^.{101,}' 'longer than 100 columns' <"$faults.code"
forbid 'TO''DO|FIX''ME' 'unfinished; finish it, or file an issue' <"$faults.code"
forbid '[[:space:]]+$' 'space at the end of the line' <"$faults.code"
empty_words='Manager|Helper|Utils|Handler|Engine|Context|Wrapper'
forbid "^ *(class|struct|enum class|using|namespace) \\w*($empty_words)\\b" \
  'a word that says nothing (ARCHITECTURE.md, Words)' <"$faults.code"
while read -r file; do
  lines=$(wc -l <"$file")
  [ "$lines" -le 400 ] || echo "$file:$lines: longer than 400 lines; split it by noun" >>"$faults"
done <"$faults.code"
rm -f "$faults.code"

# The tests that ARCHITECTURE.md says hold a law.
grep -oE '`[A-Za-z]+Test\.[A-Za-z0-9]+`' ARCHITECTURE.md | tr -d '`' | while read -r test; do
  files '*_test.cpp' | xargs -r grep -qzE "TEST(_F|_P)?\(${test%.*},\s*${test#*.}\)" ||
    echo "ARCHITECTURE.md:1: there is no test $test" >>"$faults"
done

# Versions of clang-format disagree on details; that of Debian 12 decides.
if [ "${1:-}" != --no-format ]; then
  formatter=$(command -v clang-format-14 || echo clang-format)
  if "$formatter" --version 2>/dev/null | grep -q 'version 14\.'; then
    files '*.h' '*.cpp' '*.cuh' | xargs -r "$formatter" --dry-run 2>&1 |
      sed -nE "s|^([^ ]+:[0-9]+):[0-9]+: warning: .*|\1: clang-format would change it|p" >>"$faults"
  else
    echo "lint: the format is not checked: that takes clang-format 14"
  fi
fi

if [ -s "$faults" ]; then
  sort -u -t: -k1,1 -k2,2n -k3 "$faults"
  echo "lint: faults, see above"
  exit 1
fi
echo "lint: no faults"
