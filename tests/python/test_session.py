"""One process's runtime: its store, offline mode, manifests, threads, forks and signals."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("cpu")

ADD = """
#include "fms/parameter.cuh"
FMS_KERNEL(add, "x += kWhat");
FMS_INT(kWhat, 1, "what is added");
extern "C" __global__ void add(int* x) { x[threadIdx.x] += kWhat; }
"""


@pytest.fixture
def add(fms):
    return fms.jit(ADD, name="add")


def test_a_kernel_is_compiled_once_and_then_comes_from_the_store(fms, add, tmp_path):
    for compiles in (1, 0):
        with fms.configure(cache_dir=tmp_path):
            x = np.zeros(4, np.int32)
            add[1, 4](x)
            add[1, 4](x)
            assert (x == 2).all()
            stats = fms.cache.stats()
            assert stats["process"]["compiles"] == compiles
            assert stats["store"]["entries"] == 1
            assert [each["template"] for each in fms.cache.entries()] == ["add"]


def test_offline_a_new_kernel_is_an_error_that_names_it(fms, add, empty_store):
    x = np.zeros(1, np.int32)
    add[1, 1](x, kWhat=3)
    with fms.offline():
        add[1, 1](x, kWhat=3)
        with pytest.raises(fms.OfflineError, match="add<kWhat=4>"):
            add[1, 1](x, kWhat=4)
    add[1, 1](x, kWhat=4)
    assert x[0] == 10


def test_options_come_back_and_nest(fms, tmp_path):
    from flashmoe_science._native import native

    before = native.options()
    with fms.configure(cache_dir=tmp_path / "a", policy="exact"):
        with fms.configure(policy="dynamic"):
            assert native.options()["policy"] == "dynamic"
            assert native.options()["cache_dirs"] == [str(tmp_path / "a")]
        assert native.options()["policy"] == "exact"
    assert native.options() == before


@pytest.mark.parametrize("bad", [
    {"policy": "sometimes"}, {"target": "sm_1"}, {"cache_dir": "relative"}, {"sanitize": "soap"},
    {"log_level": "loud"},
])
def test_bad_options_are_named_and_change_nothing(fms, bad):
    from flashmoe_science._native import native

    before = native.options()
    with pytest.raises(ValueError, match=next(iter(bad)).split("_")[0]):
        fms.configure(**bad)
    assert native.options() == before


def test_races_between_threads_of_a_block_are_found(fms, empty_store):
    race = fms.jit("""
extern "C" __global__ void race(int* out) {
  __shared__ int tile[32];
  tile[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = tile[31 - threadIdx.x];
}
""")
    with fms.configure(sanitize="thread"):
        with pytest.raises(fms.DriverError, match=r"race.*race\.cu:\d"):
            race[1, 32](np.zeros(32, np.int32))


@pytest.mark.parametrize("view", [slice(None), slice(None, None, -1), slice(3, 90, 2)])
def test_accesses_beside_an_array_are_found(fms, empty_store, view):
    fill = fms.jit("""
extern "C" __global__ void fill(int* out, int stride, int n) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) out[i * stride] = i;
}
""")
    whole = np.zeros(100, np.int32)
    part = whole[view]
    stride, n = part.strides[0] // 4, part.size
    with fms.configure(sanitize="address"):
        fill[1, 32](part, stride, n)
        assert (part == np.arange(n)).all()
        with pytest.raises(fms.DriverError, match=r"out-of-bounds.*fill\.cu:3.*an array of"):
            fill[1, 32](part, stride, n + 1)
        with pytest.raises(fms.DriverError, match=r"out-of-bounds|invalid"):
            fill[1, 32](part, -stride, n)
    assert whole.sum() == part.sum()


def test_attention_refuses_to_have_its_addresses_checked(fms, empty_store):
    q = np.zeros((1, 4, 1, 16), np.float32)
    with fms.configure(sanitize="address"):
        with pytest.raises(fms.UnsupportedError, match="sanitize"):
            fms.attention(q, q, q)
    fms.attention(q, q, q)


def test_what_is_recorded_can_be_warmed(fms, add, empty_store, tmp_path):
    manifest = tmp_path / "run.jsonl"
    with fms.record(manifest):
        for what in (5, 6, 5):
            add[1, 1](np.zeros(1, np.int32), kWhat=what)
    assert len(manifest.read_text().splitlines()) == 2
    assert (tmp_path / "add.cu").read_text() == ADD
    with fms.configure(cache_dir=tmp_path / "other"):
        report = fms.warm(manifest, target="cpu")
        assert report and (report.kernels, report.compiled) == (2, 2)
        assert fms.warm(manifest, target=["cpu"]).present == 2
        with fms.offline():
            add[1, 1](np.zeros(1, np.int32), kWhat=6)


def test_a_recorded_file_is_found_wherever_the_manifest_is(fms, empty_store, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "added.cu").write_text(ADD)
    with fms.record(tmp_path / "run.jsonl"):
        fms.jit(tmp_path / "sources" / "added.cu")[1, 1](np.zeros(1, np.int32))
    with fms.configure(cache_dir=tmp_path / "other"):
        assert fms.warm(tmp_path / "run.jsonl", target="cpu").compiled == 1


def test_two_sources_of_one_name_in_a_manifest_are_told(fms, empty_store, tmp_path):
    with pytest.warns(UserWarning, match="several sources are called twice.cu"):
        with fms.record(tmp_path / "run.jsonl"):
            for value in (1, 2):
                x = np.zeros(1, np.int32)
                fms.jit(f'extern "C" __global__ void twice(int* x) {{ *x = {value}; }}')[1, 1](x)
                assert x[0] == value


@pytest.mark.parametrize("jobs", [1, 2])
def test_warming_in_any_number_of_processes_compiles_the_same(
    fms, empty_store, tmp_path, jobs, capfd
):
    (tmp_path / "add.cu").write_text(ADD)
    (tmp_path / "bad.cu").write_text('extern "C" __global__ void bad(int* x) { *x = y; }')
    lines = [{"template": "add.cu", "parameters": {"kWhat": what}} for what in (1, 2, 3)]
    lines.append({"template": "bad.cu"})
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    report = fms.warm(manifest, target="cpu", jobs=jobs, progress=True)
    assert (report.kernels, report.compiled, report.present) == (4, 3, 0)
    (failure,) = report.failures
    assert failure["code"] == "compile_failed" and "bad" in failure["specialization"]
    assert "y" in failure["detail"]
    assert "4 of 4 after" in capfd.readouterr().err
    assert fms.warm(manifest, target="cpu", jobs=jobs).present == 3


def test_a_compiling_process_that_dies_is_a_failure_of_its_kernel(
    fms, empty_store, tmp_path, monkeypatch
):
    (tmp_path / "add.cu").write_text(ADD)
    lines = [{"template": "add.cu", "parameters": {"kWhat": what}} for what in (1, 2)]
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    monkeypatch.setattr("sys.executable", "/bin/false")
    report = fms.warm(tmp_path / "m.jsonl", target="cpu", jobs=2)
    assert [each["code"] for each in report.failures] == ["internal"] * 2
    assert "exit status 1" in report.failures[0]["message"]


def test_a_manifest_that_cannot_be_warmed_says_what_failed(fms, empty_store, tmp_path):
    manifest = tmp_path / "bad.jsonl"
    manifest.write_text('{"template": "nothing.cu", "parameters": {}}\n')
    report = fms.warm(manifest, target="cpu")
    assert not report and "nothing.cu" in report.failures[0]["message"]
    with pytest.raises(fms.Error):
        fms.warm(tmp_path / "none.jsonl", target="cpu")


def test_a_store_can_be_checked_cleared_and_shipped(fms, add, empty_store, tmp_path):
    add.code("cpu")
    assert fms.cache.verify() == {"checked": 1, "corrupt": 0, "messages": []}
    bundle = tmp_path / "kernels.fms"
    assert fms.cache.export(bundle) == 1
    assert fms.cache.clear() == 1
    assert not add.is_ready("cpu")
    assert fms.cache.load(bundle)["host_code_skipped"] == 1
    assert fms.cache.load(bundle, trust_host_code=True)["added"] == 1
    assert add.is_ready("cpu")
    assert fms.cache.gc()["evicted"] == 0


def test_without_a_store_all_works_in_memory(fms, add):
    with fms.configure(cache_dir="/proc/no/such/folder", log_level="off"):
        x = np.zeros(1, np.int32)
        add[1, 1](x)
        assert x[0] == 1
        assert fms.cache.stats()["store"] == {}
        with pytest.raises(fms.UnavailableError, match="FMS_CACHE_DIR"):
            fms.cache.verify()


def test_threads_that_ask_for_one_kernel_compile_it_once(fms, add, empty_store):
    results = [np.zeros(1, np.int32) for _ in range(8)]
    threads = [threading.Thread(target=lambda x=x: add[1, 1](x, kWhat=7)) for x in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(x[0] == 7 for x in results)
    assert fms.cache.stats()["process"]["compiles"] == 1


def test_other_threads_run_while_a_kernel_is_compiled(fms, add, empty_store):
    done = threading.Event()
    thread = threading.Thread(target=lambda: (add.code("cpu", kWhat=8), done.set()))
    thread.start()
    turns = 0
    while not done.is_set():
        turns += 1
        time.sleep(0.001)
    thread.join()
    assert turns > 2  # a compile takes 100 ms and more


def child_of_fork(queue):
    import flashmoe_science as fms

    x = np.zeros(2, np.int32)
    template = fms.jit(ADD, name="add")
    template[1, 2](x, kWhat=1)
    template[1, 2](x, kWhat=10)
    queue.put(x.tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_go_on(fms, add, method):
    add[1, 1](np.zeros(1, np.int32), kWhat=1)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=child_of_fork, args=(queue,))
    process.start()
    assert queue.get(timeout=120) == [11, 11]
    process.join(30)
    assert process.exitcode == 0


SLOW = r'''
import sys, numpy as np, flashmoe_science as fms
body = "\n".join(f"  x[{i}] = x[{i}] * {i}.5f + sinf(x[{i + 1}]) / cosf(x[{i + 2}]);"
                 for i in range(6000))
slow = fms.jit('extern "C" __global__ void slow(float* x) {\n' + body + "\n}", name="slow")
print("compiling", flush=True)
try:
    slow.code("cpu")
    print("finished", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    x = np.zeros(1, np.int32)
    fms.jit('extern "C" __global__ void one(int* x) { *x = 1; }')[1, 1](x)
    print("goes on", x[0], flush=True)
'''


def test_ctrl_c_ends_a_compile_and_nothing_else(fms, tmp_path):
    environment = {**os.environ, "FMS_CACHE_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "compiling\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    if out.startswith("finished"):
        pytest.skip("this machine compiles faster than it is interrupted")
    assert out == "interrupted\ngoes on 1\n"
    assert process.returncode == 0


def test_a_process_that_ends_while_it_compiles_behind_ends_well(fms, tmp_path):
    code = """
import numpy as np, flashmoe_science as fms
from tests_saxpy import SAXPY
saxpy = fms.jit(SAXPY)
x = np.zeros(8, np.float32)
for _ in range(3):
    saxpy[1, 8](8, 1.0, x, x, kN=8)
"""
    from sources import SAXPY

    (tmp_path / "tests_saxpy.py").write_text(f"SAXPY = {SAXPY!r}\n")
    environment = {**os.environ, "FMS_CACHE_DIR": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True,
        text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_exact_variant_takes_over_from_the_dynamic_one(fms, saxpy, empty_store):
    x, y = np.ones(16, np.float32), np.zeros(16, np.float32)
    for _ in range(2):
        saxpy[1, 16](16, 1.0, x, y, kN=16)
    assert fms.cache.stats()["process"]["dynamic_served"] >= 1
    fms.wait_for_background()
    assert fms.cache.stats()["process"]["background_compiles"] == 1
    saxpy[1, 16](16, 1.0, x, y, kN=16)
    assert (y == 3).all()


def test_template_policies_override_the_sessions(fms, empty_store):
    from sources import SAXPY

    exact = fms.jit(SAXPY, name="saxpy", policy="exact")
    x = np.zeros(4, np.float32)
    exact[1, 4](4, 1.0, x, x, kN=4)
    assert fms.cache.stats()["process"]["dynamic_served"] == 0
    with pytest.raises(ValueError, match="no policy"):
        fms.jit(SAXPY, policy="sometimes")
