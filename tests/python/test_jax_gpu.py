"""Custom calls of XLA's on a real GPU."""

import importlib.util
import pathlib

import numpy as np
import pytest

jax = pytest.importorskip("jax")


def why_no_gpu():
    """Why JAX has none; empty if it has. Its own wheel, as tools/setup.sh installs it, is the
    CPU's: on a GPU machine it takes the plugin too."""
    try:
        jax.devices("gpu")
        return ""
    except RuntimeError as error:
        said = str(error)
    if not pathlib.Path("/dev/nvidia0").exists():
        return "this machine has no NVIDIA GPU"
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin")
    if not any(importlib.util.find_spec(plugin) for plugin in plugins):
        return "JAX's plugin for CUDA isn't installed: pip install 'jax[cuda13]'"
    return f"JAX's plugin for CUDA finds no GPU: {said}"


NO_GPU = why_no_gpu()
pytestmark = [pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU), pytest.mark.usefixtures("nvrtc")]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("bfloat16", 2e-2)])
def test_attention_is_jaxs_own(fms, dtype, tolerance):
    import flashmoe_science.jax as fms_jax

    q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 257, 4, 64)).astype(dtype)
    out = jax.jit(lambda q, k, v: fms_jax.attention(q * 1, k, v, causal=True) + 0)(q, k, v)
    with jax.default_matmul_precision("highest"):
        exact = jax.nn.dot_product_attention(
            *(x.astype("float32") for x in (q, k, v)), is_causal=True)
    np.testing.assert_allclose(out.astype("float32"), exact, rtol=0, atol=tolerance)


def test_options_and_vmap_are_those_of_each(fms):
    import flashmoe_science.jax as fms_jax

    q, k, v = jax.random.normal(jax.random.key(0), (3, 3, 2, 65, 4, 64)).astype("bfloat16")
    bias = jax.random.normal(jax.random.key(1), (3, 4, 1, 65))
    sinks = jax.numpy.arange(4.0)

    def each(q, k, v, bias):
        return fms_jax.attention(q, k, v, causal=True, window_size=(20, 0), bias=bias, sinks=sinks)

    def assert_close(got, expected):  # of other tiles, as the batch is another one
        np.testing.assert_allclose(
            *(x.astype("float32") for x in (got, expected)), rtol=0, atol=2e-2)

    out = jax.jit(jax.vmap(each))(q, k, v, bias)
    for i in range(3):
        assert_close(out[i], each(q[i], k[i], v[i], bias[i]))
    starts = jax.numpy.array([0, 20, 65, 130], "int32")
    packed = jax.jit(lambda *x: fms_jax.attention(
        *x, cu_seqlens_q=starts, max_seqlen_q=65, max_seqlen_k=65))
    flat = [x[0].reshape(130, 4, 64) for x in (q, k, v)]
    assert_close(packed(*flat)[20:65], fms_jax.attention(*(x[None, 20:65] for x in flat))[0])


def test_a_kernel_of_ones_own_works_on_xlas_stream(fms):
    import flashmoe_science.jax as fms_jax

    scale = fms.jit("""
extern "C" __global__ void scale(int n, float a, const float* x, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i];
}
""")
    n = 1 << 20
    shape = jax.ShapeDtypeStruct((n,), "float32")

    @jax.jit
    def model(x):
        for _ in range(5):
            x = fms_jax.launch(scale, n // 256, 256, n, 2.0, x + 1, shape)
        return x

    np.testing.assert_array_equal(model(jax.numpy.zeros(n)), np.full(n, 62.0))
