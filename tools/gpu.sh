#!/bin/sh
# What a machine with a GPU should run, in the order of what it tells: tests, benchmarks, tuning,
# sanitizers. Each step has its time, and its failure doesn't stop the next; a table says what came
# of it. Needs nothing but what is built and a Python with PyTorch: no cmake, git or pip.
#
#   tools/gpu.sh FOLDER [OPTIONS] [STEP...]   all steps, or these; what they print goes to FOLDER
#   tools/gpu.sh --pack FOLDER [OPTIONS]      copy what it needs of a build, for another machine
#
#   --build DIR     where what is built is (default: build/release); also a folder made by --pack
#   --seconds N     for all steps together (default: 1700); a step without time is left out
#   --commit TEXT   what is measured (default: what the program says of itself)
#   --rehearse      a small run of each step that can do without a GPU, to see that it works
#   --python V      with --pack: the version of the other machine's Python (default: 3.12)
#
# Steps: doctor compile tests kernels python jit tune attention options sanitizer
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
steps="doctor compile tests kernels python jit tune attention options sanitizer"

# The longest that a step may take, in seconds.
limit() {
  case $1 in
    doctor) echo 60 ;; compile) echo 90 ;;
    tests) echo 150 ;; kernels) echo 300 ;; python) echo 240 ;; jit) echo 150 ;;
    tune) echo 330 ;; attention) echo 420 ;; options) echo 240 ;; sanitizer) echo 300 ;;
  esac
}

fail() { echo "gpu.sh: $*" >&2; exit 2; }

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

# The lines of its own comment.
usage() { sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; }

# ---------------------------------------------------------------------------- the steps
# Each is a process of its own: out, build, python, rehearse and commit come from its environment.

fms() { "$build/tools/fms" "$@"; }

has_gpu() { nvidia-smi -L >/dev/null 2>&1; }

# What is skipped ends with 77 and a last line that says why.
skip() { echo "skipped: $*"; exit 77; }

need_gpu() { has_gpu || skip "there is no GPU"; }

step_doctor() {
  status=0
  nvidia-smi 2>/dev/null || echo "no nvidia-smi"
  ldd "$build/tools/fms" | grep 'not found' && fail "libraries are missing"
  fms --version
  fms doctor || true
  "$python" -m flashmoe_science doctor || status=1
  "$python" -c 'import sys, torch; print("Python", sys.version.split()[0], "torch",
    torch.__version__, "with a GPU" if torch.cuda.is_available() else "without a GPU")' || status=1
  [ $status = 0 ] || echo "PyTorch or the Python package doesn't load: see above"
  return $status
}

# Programs of GoogleTest, by hand, since ctest knows where they were built.
gtest() {
  program=$build/tests/$1
  shift
  [ -x "$program" ] || { echo "$program isn't built"; return 0; }
  "$program" --gtest_brief=1 "$@"
}

# The sums over several programs, as a last line.
count_tests() {  # file
  awk '/^\[  PASSED  \]/ { passed += $4 } /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
       /^\[  FAILED  \] .*\(/ { failed++ }
       END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$1"
}

step_tests() {
  if [ "$rehearse" = 1 ]; then
    programs='runtime/runtime_test'
  else
    need_gpu
    programs='runtime/runtime_gpu_test templates/building_blocks_gpu_test tools/occupancy_gpu_test'
  fi
  status=0
  for program in $programs; do
    gtest "$program" >"$out/program.txt" 2>&1 || status=1
    cat "$out/program.txt" >>"$out/tests.all.txt"
  done
  cat "$out/tests.all.txt"
  count_tests "$out/tests.all.txt"
  rm -f "$out/program.txt" "$out/tests.all.txt"
  return $status
}

# Most of its time is NVRTC's, one core a process.
step_kernels() {
  filter='*/cuda'
  [ "$rehearse" = 1 ] && filter='*ExamplesTest*/cpu' || need_gpu
  shards=$(($(nproc) / 2 + 1))
  [ "$shards" -le 8 ] || shards=8
  i=0
  while [ "$i" -lt "$shards" ]; do
    GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$i \
      gtest templates/kernels_test --gtest_filter="$filter" >"$out/kernels.$i.txt" 2>&1 &
    pids="${pids:-} $!"
    i=$((i + 1))
  done
  status=0
  for pid in $pids; do wait "$pid" || status=1; done
  cat "$out"/kernels.[0-9]*.txt | tee "$out/kernels.all.txt"
  rm -f "$out"/kernels.[0-9]*.txt
  count_tests "$out/kernels.all.txt"
  return $status
}

step_python() {
  [ "$rehearse" = 1 ] || need_gpu
  "$python" -c 'import pytest' 2>/dev/null || skip "pytest isn't installed"
  files=$(cd "$root" && echo tests/python/test_*gpu.py)
  [ "$rehearse" = 1 ] ||
    files="$files tests/python/test_attention_drawn.py tests/test_attention_correctness.py"
  workers=
  "$python" -c 'import xdist' 2>/dev/null && workers="-n 4"
  cd "$root"
  # shellcheck disable=SC2086
  FMS_TEST_REQUIRE_PYTHON=1 "$python" -m pytest -v -rfEs -p no:cacheprovider $workers $files
}

step_jit() {
  small=
  [ "$rehearse" = 1 ] && small="--rounds 2 --processes 1" || need_gpu
  # shellcheck disable=SC2086
  "$python" -m flashmoe_science.bench jit --commit "$commit" --json "$out/jit.json" $small
}

problem() {  # batch heads length head_dim
  for causal in false true; do
    printf '{"op": "attention", "dtype": "bf16", "batch": %d, "heads": %d, "kv_heads": %d, ' \
      "$1" "$2" "$2"
    printf '"seq_q": %d, "seq_k": %d, "head_dim": %d, "causal": %s}\n' "$3" "$3" "$4" "$causal"
  done
}

# What a cold compile takes on this host, and the size of what it makes: one process, a store of its
# own, each kernel twice.
step_compile() {
  {
    problem 4 8 2048 64
    [ "$rehearse" = 1 ] || {
      problem 4 16 2048 128; problem 4 32 512 128; problem 4 8 2048 256; problem 4 16 2048 40
    }
  } >"$out/compile.jsonl"
  for round in 1 2; do
    rm -rf "$out/compile.store"
    fms warm "$out/compile.jsonl" --target sm_90a -j 1 --cache-dir "$out/compile.store" || return
    fms cache list --cache-dir "$out/compile.store" --json >"$out/compile.$round.json"
  done
  "$python" - "$out"/compile.[12].json <<'PYTHON'
import json, re, sys
found = {}
for name in sys.argv[1:]:
    for entry in json.load(open(name)):
        found.setdefault(entry["specialization"], []).append(entry)
for text, entries in sorted(found.items()):
    chosen = re.findall(r"\b(?:T|kHeadDim|kMask|kSeqK)=\w+", text)
    times = " and ".join(f"{entry['compile_ms'] / 1e3:.2f}" for entry in entries)
    print(f"{entries[0]['template']} {' '.join(chosen)}: {times} s, {entries[0]['bytes']} bytes")
most = max(min(entry["compile_ms"] for entry in entries) for entries in found.values())
print(f"{len(found)} kernels, each in {most / 1e3:.2f} s or less")
PYTHON
  rm -rf "$out/compile.store" "$out"/compile.[12].json
}

# Few seconds a shape, since there are 18: about 5 minutes. A tile whose kernel doesn't end, or
# loses the device, takes the process with it, and is left out in the next.
step_tune() {
  if [ "$rehearse" = 1 ]; then
    problem 1 1 40 16 | head -1 | sed 's/bf16/f32/' >"$out/tune.jsonl"
    fms tune "$out/tune.jsonl" --device cpu --most 2 --again --without nothing
    return
  fi
  need_gpu
  {
    problem 4 8 2048 64; problem 4 8 4096 64; problem 4 8 8192 64
    problem 4 16 2048 128; problem 4 16 4096 128; problem 2 16 8192 128; problem 1 16 16384 128
    problem 4 32 512 128; problem 4 8 2048 256
  } >"$out/tune.jsonl"
  set --
  for _ in 1 2 3; do
    fms tune "$out/tune.jsonl" --seconds 16 "$@" 2>"$out/tune.log" && status=0 || status=$?
    cat "$out/tune.log"
    tile=$(sed -n "s/.*'\(k[A-Z][^']*\)'.*/\1/p" "$out/tune.log" | tail -1)
    [ "$status" != 0 ] && [ -n "$tile" ] || break
    set -- "$@" --without "$tile"
  done
  fms tune --list
  fms tune --list --json >"$out/tunings.json"
  return "$status"
}

bench_attention() {  # name arguments...
  name=$1
  shift
  "$python" -m flashmoe_science.bench attention --commit "$commit" --markdown "$out/$name.md" \
    --json "$out/$name.json" "$@"
}

step_attention() {
  if [ "$rehearse" = 1 ]; then
    bench_attention attention --shape 1,2,33,16 --rounds 2
    return
  fi
  need_gpu
  # FlexAttention compiles for seconds a shape, and is in the next step.
  bench_attention attention --peer cuDNN --peer FA2 --peer FA3
}

step_options() {
  if [ "$rehearse" = 1 ]; then
    bench_attention options --options --shape 1,2,64,16 --rounds 1
    return
  fi
  need_gpu
  bench_attention options --options
}

# Arrays for the sanitizer, in a folder: q, k and v of these shapes, in bf16 as NumPy has it.
make_arrays() {  # folder head_dim
  mkdir -p "$1"
  "$python" - "$1" "$2" <<'PYTHON'
import sys
import numpy as np
folder, dim = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(0)
def save(name, *shape):
    bits = random.standard_normal(shape, np.float32).view(np.uint32) >> 16
    np.save(f"{folder}/{name}.npy", bits.astype(np.uint16))
for name, heads in (("q", 4), ("k", 2), ("v", 2)):
    save(name, 2, heads, 200, dim)
    save(f"packed_{name}", 300, heads, dim)
save("bias", 1, 4, 200, 200)
PYTHON
}

sanitize() {  # tool or none, head dim, options of fms attention
  tool=$1 folder=$out/arrays$2
  shift 2
  prefix=
  case " $* " in *" --lengths "*) prefix=packed_ ;; esac
  [ "$tool" = none ] || set -- "$@" --check
  set -- "$build/tools/fms" attention --dtype bf16 --q "$folder/${prefix}q.npy" \
    --k "$folder/${prefix}k.npy" --v "$folder/${prefix}v.npy" --out "$folder/o.npy" "$@"
  [ "$tool" = none ] || set -- compute-sanitizer --tool "$tool" --error-exitcode 9 "$@"
  "$@" >"$out/sanitizer.log" 2>&1 && return
  echo "$tool: exit $?: $*"
  tail -20 "$out/sanitizer.log"
  return 1
}

# The first run of each compiles.
step_sanitizer() {
  if [ "$rehearse" = 1 ]; then
    make_arrays "$out/arrays64" 64
    sanitize none 64 --device cpu --check --lengths 120,80,100 --causal || return
    echo "one run, without a sanitizer"
    return
  fi
  need_gpu
  command -v compute-sanitizer >/dev/null || skip "compute-sanitizer isn't installed"
  for dim in 40 64 128 256; do make_arrays "$out/arrays$dim" $dim; done
  bias=$out/arrays128/bias.npy
  status=0 runs=0
  for tool in none memcheck racecheck synccheck; do
    while read -r dim options; do
      # shellcheck disable=SC2086
      sanitize $tool "$dim" $options </dev/null || status=1
      runs=$((runs + 1))
    done <<END
64
64 --causal
64 --window 70,0 --softcap 30
64 --lengths 120,80,100 --causal
128 --causal
128 --window 70,30
128 --bias $bias
128 --lengths 120,80,100
40
256 --causal
END
  done
  echo "$runs runs of ten problems: without, and with memcheck, racecheck and synccheck"
  return $status
}

# ---------------------------------------------------------------------------- the run

note() { printf '%-10s  %-8s  %5s s  %s\n' "$1" "$2" "$3" "$4" >>"$out/summary.txt"; }

run_step() {
  name=$1
  most=$(limit "$name")
  left=$((ends - $(date +%s)))
  if [ "$left" -lt 15 ]; then
    note "$name" skipped 0 "no time was left"
    return
  fi
  [ "$most" -le "$left" ] || most=$left
  echo "-- $name (at most $most s)"
  begun=$(date +%s)
  status=0
  timeout -k 10 "$most" "$0" --step "$name" >"$out/$name.txt" 2>&1 </dev/null || status=$?
  taken=$(($(date +%s) - begun))
  last=$(grep -v '^ *$' "$out/$name.txt" | tail -1 | cut -c1-90)
  case $status in
    0) note "$name" ok $taken "$last" ;;
    77) note "$name" skipped $taken "$last" ;;
    124 | 137) note "$name" TIMEOUT $taken "after: $last"; failed=1 ;;
    *) note "$name" FAILED $taken "exit $status: $last"; failed=1 ;;
  esac
  tail -1 "$out/summary.txt"
}

if [ "${1:-}" = --step ]; then
  "step_$2"
  exit
fi

out='' build=$root/build/release seconds=1700 commit='' rehearse=0 chosen='' packing=0
other_python=3.12
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --pack) packing=1 ;;
    --build) build=$(absolute "$2"); shift ;;
    --seconds) seconds=$2; shift ;;
    --commit) commit=$2; shift ;;
    --python) other_python=$2; shift ;;
    --rehearse) rehearse=1 ;;
    -*) fail "there is no option $1 (--help)" ;;
    *)
      if [ -z "$out" ]; then out=$1
      elif [ -n "$(limit "$1")" ]; then chosen="$chosen $1"
      else fail "there is no step $1: $steps"
      fi
      ;;
  esac
  shift
done
[ -n "$out" ] || { usage >&2; exit 2; }
[ -x "$build/tools/fms" ] || fail "$build/tools/fms isn't built, or --build is missing"

python=${PYTHON:-}
[ -n "$python" ] || { [ -x "$root/.venv/bin/python" ] && python=$root/.venv/bin/python; } ||
  python=python3
if [ "$packing" = 1 ]; then
  . "$root/tools/gpu_pack.sh"
  exit
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
# A run that has no --commit says what the program was built of.
[ -n "$commit" ] ||
  commit=$("$build/tools/fms" --version | sed -n 's/.*(\([^)]*\)).*/\1/p' | head -1)
export out build python rehearse commit
# Libraries of a packed build, its Python package, and where NVRTC's wheel may be.
[ ! -d "$build/lib" ] || export LD_LIBRARY_PATH="$build/lib:${LD_LIBRARY_PATH:-}"
export PYTHONPATH="$build/python:${PYTHONPATH:-}" FMS_PYTHON="$build/python"
export FMS_TEMPLATE_TESTS_FOLDER="$root/tests/templates" PYTHONUNBUFFERED=1
export FMS_CACHE_DIR="${FMS_CACHE_DIR:-$root/build/gpu-store}"
: "${VIRTUAL_ENV:=$("$python" -c 'import sys; print(sys.prefix)')}"
export VIRTUAL_ENV

# Tests look for NVRTC where they were built.
nvrtc=$("$build/tools/fms" doctor --json 2>/dev/null | "$python" -c '
import json, sys
print(json.load(sys.stdin)["nvrtc"].get("library", ""))' 2>/dev/null) || nvrtc=
[ -z "$nvrtc" ] || export FMS_NVRTC="$nvrtc" FMS_TEST_NVRTC="$nvrtc"

ends=$(($(date +%s) + seconds))
failed=0
{
  echo "commit $commit, $(date -u +%Y-%m-%dT%H:%MZ), $(nvidia-smi -L 2>/dev/null || echo 'no GPU')"
} >"$out/summary.txt"
for step in ${chosen:-$steps}; do run_step "$step"; done
echo
cat "$out/summary.txt"
exit $failed
