"""The way to a GPU, on a machine without one: devices, streams, captures, launch attributes.

Each test's body is a program of its own, since the stand-in must be there before the driver is
looked for.
"""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

HERE = pathlib.Path(__file__).resolve().parent
PRELUDE = """
import struct
import numpy as np
import flashmoe_science as fms
from fake_cuda import *

AXPY = '''
extern "C" __global__ void axpy(int n, float a, const float* x, float* y) {
  if (threadIdx.x < n) y[threadIdx.x] += a * x[threadIdx.x];
}
'''
axpy = fms.jit(AXPY, name="axpy")

def raises(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")
"""


@pytest.fixture
def run(fms, nvrtc):
    drivers = [
        each for each in HERE.parents[1].glob("build/*/tests/runtime/fake_driver/libcuda.so.1")
        if each.parents[3].name not in ("asan", "tsan", "ubsan")  # programs' own sanitizers
    ]
    if not drivers:
        pytest.skip("the stand-in for the CUDA driver isn't built")
    paths = [str(drivers[0].parent), os.environ.get("LD_LIBRARY_PATH", "")]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths)),
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "FMS_NVRTC": fms.doctor()["nvrtc"]["library"],
    }

    def run(body):
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(body)], env=environment,
            capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    return run


def test_a_launch_arrives_with_the_bytes_of_its_arguments(run):
    run("""
        x, y = CudaArray(), CudaArray()
        axpy[(2, 3), (8, 4), 64](5, 0.5, x, y)
        launch, = launches()
        assert (launch.device, launch.stream) == (0, None)
        assert list(launch.grid) == [2, 3, 1] and list(launch.block) == [8, 4, 1]
        assert launch.smem_bytes == 64
        assert launch.arguments == [
            struct.pack("i", 5), struct.pack("f", 0.5), struct.pack("Q", x.address),
            struct.pack("Q", y.address)]
    """)


def test_raw_launches_are_those_of_the_handle(run):
    run("""
        x, y = CudaArray(), CudaArray()
        launch = axpy.prepare(device="cuda:0")[2, 64, 128]
        launch(5, 0.5, x, y)
        assert launch._raw_seconds((5, 0.5, x, y), 3) > 0
        ours, *raw = launches()
        assert len(raw) == 3
        for each in raw:
            assert each.arguments == ours.arguments and each.stream == ours.stream
            assert list(each.grid) == [2, 1, 1] and list(each.block) == [64, 1, 1]
            assert each.smem_bytes == 128
        assert "takes 4 arguments" in raises(TypeError, lambda: launch._raw_seconds((5,), 1))
        lost = axpy.prepare(device="cuda:0")[1, 8, 0, 12345]
        message = raises(fms.DriverError, lambda: lost._raw_seconds((5, 0.5, x, y), 1))
        assert "can't time launches of axpy" in message
    """)


def test_the_arrays_device_is_where_it_runs(run):
    run("""
        for device in (1, 0, 1):
            axpy[1, 8](8, 1.0, CudaArray(device=device), CudaArray(device=device))
        assert [each.device for each in launches()] == [1, 0, 1]
        assert fms.cache.stats()["process"]["compiles"] + \\
            fms.cache.stats()["process"]["store_hits"] == 2  # sm_90a and sm_80
        message = raises(TypeError, lambda: axpy[1, 8](8, 1.0, CudaArray(), CudaArray(device=1)))
        assert "argument 3 is on cuda:0, and argument 4 on cuda:1" in message
        message = raises(TypeError, lambda: axpy[1, 8](8, 1.0, CudaArray(), np.zeros(8, "f4")))
        assert "on the CPU" in message
    """)


def test_the_frameworks_current_stream_is_used_unless_one_is_given(run):
    run("""
        mine, others = make_stream(), make_stream()
        current_streams[0] = mine
        x = ExchangeArray()
        axpy[1, 8](8, 1.0, x, x)
        axpy[1, 8, 0, others](8, 1.0, x, x)
        axpy[1, 8](8, 1.0, CudaArray(stream=others), CudaArray())
        axpy[1, 8](8, 1.0, CudaArray(stream=others), x)  # the exchange table's first
        current_streams[0] = 0
        axpy[1, 8](8, 1.0, x, x)
        streams = [each.stream for each in launches()]
        assert streams == [mine, others, others, mine, None], streams
        message = raises(fms.DriverError, lambda: axpy[1, 8, 0, 12345](8, 1.0, x, x))
        assert "cuLaunchKernelEx" in message
    """)


def test_launch_attributes_arrive(run):
    run("""
        x = ExchangeArray()
        config = fms.LaunchConfig(
            grid=4, block=(8,), smem_bytes=128, cluster=2, cooperative=True,
            programmatic_launch=True)
        axpy[config](8, 1.0, x, x)
        launch, = launches()
        assert list(launch.cluster) == [2, 1, 1] and launch.smem_bytes == 128
        assert launch.cooperative and launch.programmatic
        old = ExchangeArray(device=1)
        assert "compute capability" in raises(fms.UnsupportedError,
                                              lambda: axpy[config](8, 1.0, old, old))
    """)


def test_in_a_capture_only_what_is_prepared_is_launched(run):
    run("""
        stream = make_stream()
        current_streams[0] = stream
        x = ExchangeArray()
        set_capturing(stream, True)
        message = raises(fms.CapturingError, lambda: axpy[1, 8](8, 1.0, x, x))
        assert "axpy" in message
        set_capturing(stream, False)
        kernel = axpy.prepare(device="cuda:0")
        set_capturing(stream, True)
        kernel[1, 8](8, 1.0, x, x)
        launch, = launches()
        assert launch.captured and launch.stream == stream
    """)


def test_a_kernel_without_arrays_runs_on_the_first_gpu(run):
    run("""
        fms.jit('extern "C" __global__ void alone(int n) {}')[1, 1](3)
        kernel = fms.jit('extern "C" __global__ void alone(float* x) {}').prepare(device=1)
        kernel[1, 1](fms.pointer(4096))
        assert [each.device for each in launches()] == [0, 0]
        assert fms.is_cuda_available()
    """)


def test_pointers_and_read_only_arrays(run):
    run("""
        x = CudaArray(read_only=True)
        axpy[1, 8](8, 1.0, x, CudaArray())
        assert "read-only" in raises(TypeError, lambda: axpy[1, 8](8, 1.0, CudaArray(), x))
        wrong = CudaArray(dtype=np.float64)
        assert "float64" in raises(TypeError, lambda: axpy[1, 8](8, 1.0, wrong, CudaArray()))
    """)


def test_a_child_of_fork_is_told_that_cuda_is_gone_and_keeps_the_cpu(run):
    run("""
        import os
        axpy[1, 8](8, 1.0, CudaArray(), CudaArray())
        child = os.fork()
        if child == 0:
            message = raises(fms.Error, lambda: axpy[1, 8](8, 1.0, CudaArray(), CudaArray()))
            os._exit(0 if "fork" in message else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """)
