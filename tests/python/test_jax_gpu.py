"""Custom calls of XLA's on a real GPU."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")


def has_gpu():
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


pytestmark = [
    pytest.mark.skipif(not has_gpu(), reason="JAX has no GPU"), pytest.mark.usefixtures("nvrtc")]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("bfloat16", 2e-2)])
def test_attention_is_jaxs_own(fms, dtype, tolerance):
    import flashmoe_science.jax as fms_jax

    q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 257, 4, 64)).astype(dtype)
    out = jax.jit(lambda q, k, v: fms_jax.attention(q * 1, k, v, causal=True) + 0)(q, k, v)
    with jax.default_matmul_precision("highest"):
        exact = jax.nn.dot_product_attention(
            *(x.astype("float32") for x in (q, k, v)), is_causal=True)
    np.testing.assert_allclose(out.astype("float32"), exact, rtol=0, atol=tolerance)


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
