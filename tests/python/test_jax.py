"""Attention and users' kernels as custom calls of XLA's, on the CPU."""

import ctypes
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic", "jax_on_cpu")

SCALE = """
extern "C" __global__ void scale(int n, float a, const float* x, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i];
}
"""


def arrays(seq_q=5, seq_k=7, dtype="float32"):
    shapes = ((2, seq_q, 4, 16), (2, seq_k, 2, 16), (2, seq_k, 2, 16))
    return [jax.random.normal(jax.random.key(i), s).astype(dtype) for i, s in enumerate(shapes)]


@pytest.mark.parametrize("causal", [False, True, "top-left"])
def test_attention_is_that_of_arrays(fms, fms_jax, causal):
    q, k, v = arrays()
    out, lse = fms_jax.attention(q, k, v, causal=causal, softmax_scale=0.3, return_lse=True)
    expected = fms.attention(
        *map(np.asarray, (q, k, v)), causal=causal, softmax_scale=0.3, return_lse=True)
    np.testing.assert_array_equal(out, expected[0])
    np.testing.assert_array_equal(lse, expected[1])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_attention_is_jaxs_own(fms_jax, dtype):
    q, k, v = arrays(dtype=dtype)
    out = jax.jit(fms_jax.attention)(q, k, v)
    exact = jax.nn.dot_product_attention(*(x.astype("float32") for x in (q, k, v)))
    assert out.dtype == q.dtype
    atol = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}[dtype]
    np.testing.assert_allclose(out.astype("float32"), exact, rtol=0, atol=atol)


def test_every_layout(fms, fms_jax):
    q, k, v = arrays()
    expected = fms_jax.attention(q, k, v)
    for layout, axes in (("bhsd", (0, 2, 1, 3)), ("sbhd", (1, 0, 2, 3))):
        out = fms_jax.attention(*(x.transpose(axes) for x in (q, k, v)), layout=layout)
        np.testing.assert_array_equal(out.transpose(axes), expected)


def test_it_works_inside_what_jax_compiles(fms_jax):
    q, k, v = arrays()

    @jax.jit
    def model(q, k, v):
        def step(x, _):
            return fms_jax.attention(x, k, v) + x, None

        return jax.lax.scan(step, q, length=3)[0]

    expected = q
    for _ in range(3):
        expected = fms_jax.attention(expected, k, v) + expected
    np.testing.assert_allclose(model(q, k, v), expected, rtol=0, atol=1e-6)


def test_what_is_wrong_is_said_when_it_is_traced(fms, fms_jax):
    q, k, v = arrays()
    with pytest.raises(fms.InvalidArgumentError, match="k and v don't fit together"):
        jax.jit(fms_jax.attention)(q, k[:1], v)
    with pytest.raises(fms.InvalidArgumentError, match="layout"):
        fms_jax.attention(q, k, v, layout="hsbd")
    with pytest.raises(fms.InvalidArgumentError, match="int32"):
        fms_jax.attention(*(x.astype("int32") for x in (q, k, v)))


def test_a_kernel_of_ones_own(fms, fms_jax):
    scale = fms.jit(SCALE)
    x = jax.numpy.arange(1000.0)

    @jax.jit
    def model(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return fms_jax.launch(scale, 4, 256, 1000, 3.0, x + 1, shape) - 1

    np.testing.assert_array_equal(model(x), 3 * (x + 1) - 1)
    np.testing.assert_array_equal(model(2 * x), 3 * (2 * x + 1) - 1)


def test_a_kernels_parameters_and_several_results(fms, fms_jax):
    split = fms.jit("""
#include "fms/parameter.cuh"
FMS_KERNEL(split, "whole and rest");
FMS_TYPE(T, float32, "element type", choices(float32, float64));
extern "C" __global__ void split(int n, T* whole, const T* x, T* rest) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) { whole[i] = T(int(x[i])); rest[i] = x[i] - T(int(x[i])); }
}
""")
    x = jax.numpy.array([1.5, -2.25, 3.0])
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    whole, rest = fms_jax.launch(split, 1, 32, 3, shape, x, shape, T="float32")
    np.testing.assert_array_equal(whole, [1, -2, 3])
    np.testing.assert_array_equal(rest, [0.5, -0.25, 0])


def test_errors_of_a_launch_reach_jax(fms, fms_jax):
    scale = fms.jit(SCALE)
    x = jax.numpy.arange(4)
    with pytest.raises(Exception, match="array of int32, and the parameter 'const float\\*'"):
        fms_jax.launch(scale, 1, 32, 4, 1.0, x, jax.ShapeDtypeStruct((4,), "float32"))
    with pytest.raises(fms.InvalidArgumentError, match="ShapeDtypeStruct"):
        fms_jax.launch(scale, 1, 32, 4, 1.0, x, x)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_structures_are_those_of_xlas_header(fms, tmp_path):
    from flashmoe_science import _xla

    members = {
        "XLA_FFI_Api": (_xla._Api, {
            "api_version": "api_version", "XLA_FFI_Error_Create": "error_create",
            "XLA_FFI_Stream_Get": "stream_get", "XLA_FFI_DeviceOrdinal_Get": "device_ordinal_get"}),
        "XLA_FFI_CallFrame": (_xla._Frame, {n: n for n in ("api", "ctx", "args", "rets", "attrs")}),
        "XLA_FFI_Buffer": (_xla._Buffer, {n: n for n in ("dtype", "data", "rank", "dims")}),
        "XLA_FFI_Attrs": (_xla._Attributes, {"types": "types", "names": "names", "attrs": "items"}),
        "XLA_FFI_Args": (_xla._List, {"size": "size", "types": "types", "args": "items"}),
        "XLA_FFI_Scalar": (_xla._Scalar, {"value": "value"}),
        "XLA_FFI_Metadata": (_xla._Metadata, {"api_version": "api_version", "traits": "traits",
                                              "state_type_id": "state_type_id"}),
        "XLA_FFI_Metadata_Extension": (_xla._Extension, {"metadata": "metadata"}),
        "XLA_FFI_Error_Create_Args": (_xla._ErrorArguments, {"message": "message", "errc": "code"}),
        "XLA_FFI_Stream_Get_Args": (_xla._StreamArguments, {"ctx": "ctx", "stream": "stream"}),
        "XLA_FFI_DeviceOrdinal_Get_Args": (_xla._OrdinalArguments, {
            "device_ordinal": "device_ordinal"}),
    }
    header = pathlib.Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text()
    if "state_type_id" not in header:  # JAX 0.6
        del members["XLA_FFI_Metadata"][1]["state_type_id"]
    checks, ours = [], []
    for theirs, (structure, names) in members.items():
        for name, field in names.items():
            checks.append(f'std::printf("%zu\\n", offsetof({theirs}, {name}));')
            ours.append(getattr(structure, field).offset)
    (tmp_path / "offsets.cpp").write_text(
        '#include "xla/ffi/api/c_api.h"\n#include <cstddef>\n#include <cstdio>\n'
        "int main() {" + "\n".join(checks) + "}")
    program = tmp_path / "offsets"
    subprocess.run(["g++", "-std=c++17", f"-I{jax.ffi.include_dir()}", "-o", str(program),
                    str(tmp_path / "offsets.cpp")], check=True)
    printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    assert [int(line) for line in printed.split()] == ours
    assert ctypes.sizeof(_xla._Metadata) == 48
