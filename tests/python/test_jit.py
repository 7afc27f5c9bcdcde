"""Kernels of the user's own: from source to result."""

import copy
import pickle

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("cpu")


def arrays(n, dtype=np.float32):
    return np.arange(n).astype(dtype), np.ones(n, dtype)


def line_of(comment):
    """Of this file, at whose end `comment` stands."""
    with open(__file__) as own:
        return next(i for i, text in enumerate(own, 1) if text.rstrip().endswith(comment))


def test_a_kernel_runs_on_numpy_arrays(fms, saxpy):
    x, y = arrays(1000)
    saxpy[4, 256](1000, 2.0, x, y, T=fms.float32)
    np.testing.assert_array_equal(y, 2 * x + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_types_may_be_ours_numpys_or_text(fms, saxpy, dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    numpy_type = np.dtype(getattr(ml_dtypes, dtype, dtype))
    for named in (getattr(fms, dtype), numpy_type, numpy_type.type, dtype):
        x, y = arrays(100, numpy_type)
        saxpy[1, 128](100, 2.0, x, y, T=named)
        np.testing.assert_array_equal(y, 2 * x + 1)


def test_a_kernel_runs_on_pytorch_tensors(fms, saxpy):
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16):
        x, y = torch.arange(100).to(dtype), torch.ones(100, dtype=dtype)
        saxpy[1, 128](100, 2.0, x, y, T=dtype)
        torch.testing.assert_close(y, 2 * x + 1)


def test_a_tensor_that_starts_inside_its_storage_is_passed_by_its_first_element(fms, saxpy):
    torch = pytest.importorskip("torch")
    x, y = torch.arange(100.0)[10:], torch.zeros(100)
    saxpy[1, 128](50, 1.0, x, y[25:], T=torch.float32)
    torch.testing.assert_close(y[25:75], x[:50])
    assert y[:25].eq(0).all() and y[75:].eq(0).all()


def test_arrays_of_any_framework_go_together(fms, saxpy):
    torch = pytest.importorskip("torch")
    x, y = np.arange(64, dtype=np.float32), torch.ones(64)
    saxpy[1, 64](64, 3.0, x, y, T=fms.float32)
    np.testing.assert_array_equal(y.numpy(), 3 * x + 1)


def test_a_prepared_kernel_does_the_same(fms, saxpy):
    kernel = saxpy.prepare(T=fms.float64, kN=100, device="cpu")
    assert kernel.specialization == "saxpy<T=float64, kN=100>"
    x, y = arrays(100, np.float64)
    launch = kernel[1, 128]
    for _ in range(3):
        launch(100, 1.0, x, y)
    np.testing.assert_array_equal(y, 3 * x + 1)
    with pytest.raises(TypeError, match="prepared, and takes no parameters"):
        kernel[1, 128](100, 1.0, x, y, T=fms.float32)


def test_exact_and_dynamic_sizes_give_the_same(fms, saxpy):
    results = []
    for size in (1000, None, "dynamic"):
        x, y = arrays(1000)
        saxpy[4, 256](1000, 0.1, x, y, kN=size)
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_true_and_one_are_different_values(fms):
    template = fms.jit("""
#include "fms/parameter.cuh"
FMS_KERNEL(which, "");
FMS_INT(kFactor, 1, "factor");
extern "C" __global__ void which(int* out) { *out = kFactor; }
""")
    out = np.zeros(1, np.int32)
    template[1, 1](out, kFactor=1)
    assert out[0] == 1
    with pytest.raises(fms.InvalidArgumentError, match="kFactor"):
        template[1, 1](out, kFactor=True)


def test_grids_and_blocks_have_up_to_three_dimensions(fms):
    count = fms.jit("""
extern "C" __global__ void count(int* out) {
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1 + block;
}
""", name="count")
    for grid, block, blocks, threads in [
        ((2, 3, 4), (4, 2, 3), 24, 24), (5, (8, 2), 5, 16), (np.int64(3), [7], 3, 7),
    ]:
        out = np.zeros(blocks * threads, np.int32)
        count[grid, block](out)
        np.testing.assert_array_equal(out, np.repeat(np.arange(blocks) + 1, threads))


def test_dynamic_shared_memory_is_the_third_number_of_a_launch(fms):
    reverse = fms.jit("""
extern "C" __global__ void reverse(int* x) {
  extern __shared__ int tile[];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}
""", name="reverse")
    x = np.arange(64, dtype=np.int32)
    reverse[1, 64, 4 * 64](x)
    np.testing.assert_array_equal(x, np.arange(64)[::-1])
    reverse[fms.LaunchConfig(grid=1, block=64, smem_bytes=4 * 64)](x)
    np.testing.assert_array_equal(x, np.arange(64))


@pytest.mark.parametrize("key", [
    3, (1,), (1, 2, 3, 4, 5), (-1, 2), (1.5, 2), ("a", 2), (1, (1, 2, 3, 4)), (1, ()), None,
    (1, 1, -1), (1, 1, 0, "stream"),
])
def test_what_is_no_launch_is_refused(fms, saxpy, key):
    with pytest.raises((TypeError, fms.Error)):
        saxpy[key]


def test_too_large_a_block_names_the_limit(fms, saxpy):
    with pytest.raises(fms.InvalidArgumentError, match="1024"):
        saxpy[1, 4096](1, 1.0, *arrays(1))


def test_an_empty_grid_starts_nothing(fms, saxpy):
    x, y = arrays(8)
    saxpy[0, 32](8, 1.0, x, y)
    np.testing.assert_array_equal(y, np.ones(8))


def test_a_failed_assertion_is_an_error_that_names_the_thread(fms):
    check = fms.jit("""
extern "C" __global__ void check(int n) {
  assert(threadIdx.x < n);  // this one
}
""", name="check")
    check[1, 4](4)
    with pytest.raises(fms.DriverError, match=r"thread \(3,0,0\).*at check\.cu:3") as caught:
        check[1, 4](3)
    assert caught.value.message.endswith(f"[{__file__}:{line_of('// this one')}]")


def test_a_wrong_source_points_at_the_line_of_the_python_file(fms):
    template = fms.jit("""
extern "C" __global__ void wrong(int n, float* y) {
  y[n] = undeclared_thing;  // here
}
""", name="wrong")
    with pytest.raises(fms.CompileError) as caught:
        template.code(target="cpu")
    line = line_of("// here")
    assert "undeclared_thing" in caught.value.message
    assert f"{__file__}:{line}" in caught.value.message
    assert "wrong.cu" in caught.value.message
    assert "y[n] = undeclared_thing" in caught.value.detail


def test_a_wrong_declaration_points_at_its_column(fms):
    with pytest.raises(fms.InvalidArgumentError, match=r"bad\.cu:3:\d+"):
        fms.jit("""
#include "fms/parameter.cuh"
FMS_INT(kBlock, "many", "threads");
extern "C" __global__ void bad() {}
""", name="bad")


def test_unknown_and_impossible_parameters_are_named(fms, saxpy):
    with pytest.raises(ValueError, match="kM"):
        saxpy.source(kM=1)
    with pytest.raises(ValueError, match="float32 or float64"):
        saxpy.source(T=fms.int8)
    with pytest.raises(TypeError, match="no value of a template's parameter"):
        saxpy.source(T=object())


def test_a_file_is_read_with_its_includes(fms, tmp_path):
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "factor.cuh").write_text("constexpr int kFactor = 7;\n")
    source = '#include "factor.cuh"\nextern "C" __global__ void f(int* x) { *x *= kFactor; }\n'
    (tmp_path / "f.cu").write_text(source)
    x = np.array([6], np.int32)
    fms.jit(tmp_path / "f.cu", include_dirs=[tmp_path / "inc"])[1, 1](x)
    assert x[0] == 42
    fms.jit(source, include_dirs=[tmp_path / "inc"])[1, 1](x)
    assert x[0] == 42 * 7


def test_a_file_that_is_not_there_is_not_found(fms, tmp_path):
    with pytest.raises(fms.NotFoundError, match="none.cu"):
        fms.jit(tmp_path / "none.cu")


def test_builtin_templates_go_by_name(fms):
    x, y = arrays(100)
    saxpy = fms.jit("saxpy")
    saxpy[1, 256](x, y, 2.0, 100)
    np.testing.assert_array_equal(y, 2 * x + 1)
    assert "kBlock" in saxpy.parameters


def test_what_a_template_says_of_itself(fms, saxpy):
    assert saxpy.name == "saxpy"
    assert saxpy.doc == "y = a * x + y"
    assert saxpy.signature == "saxpy(int n_argument, T a, const T* x, T* y)"
    assert repr(saxpy) == f"<fms.KernelTemplate {saxpy.signature}>"
    assert "dynamic" in saxpy.parameters["kN"]
    assert "using T = double;" in saxpy.source(T=fms.float64)
    assert saxpy.specialization(kN=5) == "saxpy<T=float32, kN=5>"


def test_the_key_covers_values_and_target(fms, saxpy):
    key = saxpy.key("cpu", T=fms.float32)
    assert len(key) == 64 and key == saxpy.key("cpu")
    assert key != saxpy.key("cpu", T=fms.float64)
    assert key != saxpy.key("cpu:x86-64-v2", T=fms.float32)
    fields = saxpy.key_fields("cpu")
    assert {"compiler", "target", "source", "header[saxpy.cu]"} <= set(fields)


def test_resources_and_code_of_a_cpu(fms, saxpy):
    assert saxpy.resources("cpu")["parameter_bytes"] == [4, 4, 8, 8]
    assert saxpy.resources("cpu", T=fms.float64)["parameter_bytes"] == [4, 8, 8, 8]
    assert saxpy.code("cpu").startswith(b"\x7fELF")
    assert saxpy.is_ready("cpu")
    assert "define" in saxpy.llvm_ir() and ".text" in saxpy.asm()
    with pytest.raises(fms.UnsupportedError, match="no SASS"):
        saxpy.sass("cpu")
    with pytest.raises(fms.UnsupportedError, match="ptx"):
        saxpy.ptx("cpu")


@pytest.mark.usefixtures("nvrtc")
def test_code_for_a_gpu_needs_none(fms, saxpy):
    assert ".target sm_90a" in saxpy.ptx("sm_90a")
    used = saxpy.resources("sm_90a")
    assert used["registers"] > 0 and used["parameter_bytes"] == [4, 4, 8, 8]
    try:
        assert "saxpy" in saxpy.sass("sm_90a")
    except fms.UnavailableError as error:
        pytest.skip(error.message)


def test_a_template_can_be_pickled_and_a_loaded_kernel_cannot(fms, saxpy):
    again = pickle.loads(pickle.dumps(saxpy))
    assert again.key("cpu") == saxpy.key("cpu") and repr(again) == repr(saxpy)
    with pytest.raises(TypeError, match="pickle its template"):
        pickle.dumps(saxpy.prepare(device="cpu"))


def test_the_native_types_cannot_be_half_made(fms, saxpy):
    from flashmoe_science import _C

    with pytest.raises(TypeError):
        _C.Launch()
    with pytest.raises(TypeError, match="use fms.jit"):
        _C.Launchable()[1, 1]()
    with pytest.raises(TypeError):
        copy.copy(saxpy[1, 1])


def test_a_prepared_kernel_is_prepared_anew_when_options_change(fms, saxpy, tmp_path):
    kernel = saxpy.prepare(kN=16, device="cpu")
    with fms.configure(cache_dir=tmp_path):
        x, y = arrays(16)
        kernel[1, 16](16, 1.0, x, y)
        assert fms.cache.stats()["process"]["compiles"] == 2
        assert fms.cache.stats()["process"]["loaded_hits"] <= 1
    np.testing.assert_array_equal(y, x + 1)
