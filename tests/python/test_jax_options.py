"""The options of attention in JAX, and its rules for vmap and derivatives, on the CPU."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic", "jax_on_cpu")

ALIBI = """
struct Mods {
  const float* slopes;
  __device__ float score(float score, int batch, int head, int query, int key) const {
    return score + slopes[head] * float(key - query) * float(batch + 1);
  }
};
"""
SINKS = np.array([1, 0.5, -0.25, 3], np.float32)


def rand(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def arrays(*front, value_dim=16):
    return rand(*front, 2, 9, 4, 16), rand(*front, 2, 12, 2, 16), (
        rand(*front, 2, 12, 2, value_dim, seed=1))


def first(attention, *given, **options):
    """The result; each kernel is compiled once, with the log-sum-exp."""
    return attention(*given, return_lse=True, **options)[0]


def check(fms, fms_jax, q, k, v, **options):
    """Of JAX's arrays, traced, as of NumPy's, bit for bit."""
    static = {name: options.pop(name) for name in list(options)
              if not isinstance(options[name], np.ndarray)}
    out, lse = jax.jit(lambda q, k, v, options: fms_jax.attention(
        q, k, v, return_lse=True, **static, **options))(q, k, v, options)
    expected, expected_lse = fms.attention(q, k, v, return_lse=True, **static, **options)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(lse, expected_lse)


def test_windows_softcap_sinks_and_a_head_dim_of_values(fms, fms_jax):
    q, k, v = arrays(value_dim=24)
    options = {"causal": True, "window_size": (3, 0), "softcap": 2.0, "sinks": SINKS}
    check(fms, fms_jax, q, k, v, **options)
    out = jax.vmap(lambda q: first(fms_jax.attention, q, k, v, **options))(np.stack([q, -q]))
    np.testing.assert_array_equal(out[1], first(fms.attention, -q, k, v, **options))


@pytest.mark.parametrize("shape", [(9, 12), (4, 1, 12), (2, 1, 9, 1), ()])
def test_a_bias_of_any_shape_that_broadcasts(fms, fms_jax, shape):
    check(fms, fms_jax, *arrays(), bias=rand(*shape))


def test_functions_of_ones_own_and_their_arrays(fms, fms_jax):
    q, k, v = arrays()

    @jax.jit
    def model(q, slopes):
        return first(fms_jax.attention, q, k, v, mods=fms.mods(ALIBI, slopes=2 * slopes))

    expected = first(fms.attention, q, k, v, mods=fms.mods(ALIBI, slopes=2 * SINKS))
    np.testing.assert_array_equal(model(q, SINKS), expected)
    with pytest.raises(fms.InvalidArgumentError, match="pointer to float, and the array is of int"):
        fms.mods(ALIBI, slopes=jax.numpy.arange(4))


def test_slopes_are_of_heads_or_of_each_batchs_heads(fms, fms_jax):
    q, k, v = arrays()
    each = np.stack([SINKS, 2 * SINKS])
    for slopes in (SINKS, each):
        check(fms, fms_jax, q, k, v, alibi_slopes=slopes)
    starts = {"cu_seqlens_q": np.array([0, 5, 18], np.int32),
              "cu_seqlens_k": np.array([0, 12, 24], np.int32)}
    check(fms, fms_jax, *(x.reshape(-1, *x.shape[2:]) for x in (q, k, v)), alibi_slopes=each,
          max_seqlen_q=13, max_seqlen_k=12, **starts)
    out = jax.vmap(lambda slopes: first(fms_jax.attention, q, k, v, alibi_slopes=slopes))(each)
    for i in range(2):
        np.testing.assert_array_equal(
            out[i], first(fms.attention, q, k, v, alibi_slopes=each[i]))


def test_sequences_lie_packed(fms, fms_jax):
    q, k, v = rand(20, 4, 16), rand(30, 2, 16), rand(30, 2, 16, seed=1)
    options = {"cu_seqlens_q": np.array([0, 9, 9, 20], np.int32), "causal": True,
               "cu_seqlens_k": np.array([0, 9, 18, 30], np.int32)}
    expected = first(fms.attention, q, k, v, **options)
    np.testing.assert_array_equal(first(fms_jax.attention, q, k, v, **options), expected)
    check(fms, fms_jax, q, k, v, max_seqlen_q=11, max_seqlen_k=12, **options)
    with pytest.raises(fms.InvalidArgumentError, match="max_seqlen_q isn't given"):
        check(fms, fms_jax, q, k, v, **options)
    wrong = {**options, "cu_seqlens_q": np.array([0, 9, 8, 20], np.int32)}
    with pytest.raises(fms.InvalidArgumentError, match="falls from 9 to 8, at 2"):
        fms_jax.attention(q, k, v, **wrong)
    traced = jax.jit(lambda starts: first(
        fms_jax.attention, q, k, v, causal=True, cu_seqlens_q=starts,
        cu_seqlens_k=options["cu_seqlens_k"], max_seqlen_q=11, max_seqlen_k=12))
    with pytest.raises(Exception, match="INVALID_ARGUMENT: .* falls from 9 to 8, at 2"):
        jax.block_until_ready(traced(wrong["cu_seqlens_q"]))


def test_what_is_wrong_is_named(fms, fms_jax):
    q, k, v = arrays()
    for options, text in (
        ({"sinks": SINKS[:3]}, "sinks is of shape"), ({"bias": rand(3, 12)}, "bias is of shape"),
        ({"mods": ALIBI}, "make it by"), ({"window_size": 3}, "window_size"),
        ({"softcap": -1.0}, "softcap"), ({"cu_seqlens_k": np.zeros(3, np.int32)}, "without"),
        ({"cu_seqlens_q": np.zeros(3, np.int32)}, "dimensions"),
        ({"alibi_slopes": SINKS[:3]}, "alibi_slopes must be"),
        ({"alibi_slopes": SINKS.astype(np.float64)}, "pointer to float"),
        ({"alibi_slopes": SINKS, "bias": rand(9, 12)}, "with alibi_slopes and mods or bias"),
    ):
        with pytest.raises(fms.InvalidArgumentError, match=text):
            fms_jax.attention(q, k, v, **options)
    with pytest.raises(fms.UnsupportedError, match="block_table"):
        fms_jax.attention(q, k, v, block_table=object())
    with pytest.raises(fms.ArgumentError, match="causal is of type 'int'"):
        fms_jax.attention(q, k, v, causal=1)


@pytest.mark.parametrize("layout, axes", [("bshd", (0, 1, 2, 3)), ("sbhd", (1, 0, 2, 3)),
                                          ("bhsd", (0, 2, 1, 3))])
def test_vmap_is_one_call_of_a_larger_batch(fms_jax, layout, axes):
    q, k, v = arrays(3)
    q, k, v = q.transpose(0, *(1 + a for a in axes)), k[0].transpose(axes), v.transpose(
        *(1 + a for a in axes), 0)
    bias = rand(3, 4, 1, 12)

    def each(q, v, bias):
        return fms_jax.attention(q, k, v, layout=layout, bias=bias, return_lse=True)

    mapped = jax.vmap(each, in_axes=(0, 4, 0))
    assert str(jax.make_jaxpr(mapped)(q, v, bias)).count("ffi_call") == 1
    assert "scan" not in str(jax.make_jaxpr(mapped)(q, v, bias))
    out, lse = mapped(q, v, bias)
    for i in range(3):
        expected = each(q[i], v[..., i], bias[i])
        np.testing.assert_array_equal(out[i], expected[0])
        np.testing.assert_array_equal(lse[i], expected[1])


def test_vmap_in_vmap_with_biases_of_each_batch_or_none(fms_jax):
    q, k, v = arrays(3, 2)
    bias = rand(2, 1, 9, 12)
    out = jax.jit(jax.vmap(jax.vmap(
        lambda *x: first(fms_jax.attention, *x, bias=bias))))(q, k, v)
    for i, j in np.ndindex(3, 2):
        np.testing.assert_array_equal(
            out[i, j], first(fms_jax.attention, q[i, j], k[i, j], v[i, j], bias=bias))


def test_what_vmap_can_not_fold_is_called_one_by_one(fms, fms_jax):
    q, k, v = arrays(3)
    slopes = np.stack([SINKS, 2 * SINKS, -SINKS])

    def with_mods(q, slopes):
        return first(fms_jax.attention, q, k[0], v[0], mods=fms.mods(ALIBI, slopes=slopes))

    def with_sinks(q, slopes):
        return first(fms_jax.attention, q, k[0], v[0], sinks=slopes)

    for function in (with_mods, with_sinks):
        out = jax.vmap(function)(q, slopes)
        for i in range(3):
            np.testing.assert_array_equal(out[i], function(q[i], slopes[i]))


def test_a_derivative_is_refused_with_what_to_do(fms, fms_jax):
    q, k, v = (jax.numpy.asarray(x) for x in arrays())

    def loss(q, k=k):
        return fms_jax.attention(q, k, v).sum()

    transforms = (
        jax.grad(loss), jax.jit(jax.grad(loss)), jax.grad(jax.jit(loss)), jax.jacfwd(loss),
        lambda q: jax.grad(lambda q: jax.vmap(loss)(q[None]).sum())(q),
        lambda q: jax.vmap(jax.grad(loss))(q[None]),
        lambda q: jax.jvp(loss, (q,), (q,)), lambda q: jax.grad(jax.checkpoint(loss))(q),
    )
    for transform in transforms:
        with pytest.raises(NotImplementedError, match="jax.lax.stop_gradient") as caught:
            transform(q)
        assert isinstance(caught.value, fms.UnsupportedError)
    stopped = jax.grad(lambda q: (jax.lax.stop_gradient(loss(jax.lax.stop_gradient(q))) * q).sum())
    np.testing.assert_allclose(stopped(q), np.full(q.shape, loss(q)), rtol=1e-6)


def test_a_derivative_of_a_launch_is_refused_too(fms, fms_jax):
    double = fms.jit('extern "C" __global__ void f(const float* x, float* y) '
                     "{ y[threadIdx.x] = 2 * x[threadIdx.x]; }")
    shape = jax.ShapeDtypeStruct((4,), "float32")
    with pytest.raises(NotImplementedError, match="jax.custom_vjp"):
        jax.grad(lambda x: fms_jax.launch(double, 1, 4, x, shape).sum())(jax.numpy.ones(4))

    @jax.custom_vjp
    def with_rule(x):
        return fms_jax.launch(double, 1, 4, x, shape)

    with_rule.defvjp(lambda x: (with_rule(x), None), lambda _, y: (2 * y,))
    np.testing.assert_array_equal(
        jax.grad(lambda x: with_rule(x).sum())(jax.numpy.ones(4)), np.full(4, 2.0))
