"""Attention on arrays in host memory: results, layouts, and what is refused."""

import math
import pickle

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("cpu")


def reference(q, k, v, scale=None, causal=False):
    """(out, lse) in double precision, of arrays in the order (batch, heads, seq, head_dim)."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.einsum("bhqd,bhkd->bhqk", q, k) * (scale or 1 / math.sqrt(q.shape[-1]))
    seq_q, seq_k = scores.shape[-2:]
    shift = 0 if causal == "top-left" else seq_k - seq_q
    if causal:
        scores = np.where(np.tri(seq_q, seq_k, shift, dtype=bool), scores, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
        largest = np.where(np.isfinite(largest), largest, 0)
        weights = np.exp(scores - largest)
        total = weights.sum(axis=-1, keepdims=True)
        out = np.einsum("bhqk,bhkd->bhqd", np.where(total > 0, weights / total, 0), v)
        lse = np.log(total[..., 0]) + largest[..., 0]
    return out, lse


def rand(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(dtype)


# Rounding of the result, and of weights that are rounded to fp32: for values of unit size.
TOLERANCE = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


def assert_close(got, expected, dtype="float32"):
    np.testing.assert_allclose(
        np.asarray(got, np.float64), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("causal", [False, True, "bottom-right", "top-left"])
@pytest.mark.parametrize("seq_q, seq_k", [(5, 5), (3, 9), (9, 3), (1, 8)])
def test_masks_are_aligned_as_they_say(fms, causal, seq_q, seq_k):
    q, k, v = rand(2, 2, seq_q, 16), rand(2, 2, seq_k, 16, seed=1), rand(2, 2, seq_k, 16, seed=2)
    out, lse = fms.attention(q, k, v, causal=causal, layout="bhsd", return_lse=True)
    expected, expected_lse = reference(q, k, v, causal=causal)
    assert_close(out, expected)
    np.testing.assert_allclose(lse, expected_lse, rtol=0, atol=2e-6)


def test_the_log_sum_exp_is_natural_and_of_scaled_scores(fms):
    q = np.zeros((1, 3, 1, 16), np.float32)
    _, lse = fms.attention(q, q, q, return_lse=True)
    assert lse.shape == (1, 1, 3) and lse.dtype == np.float32
    np.testing.assert_allclose(lse, math.log(3), rtol=1e-6)


def test_queries_that_see_no_key_are_zero(fms):
    q, k = rand(1, 1, 4, 16), rand(1, 1, 0, 16)
    out, lse = fms.attention(q, k, k, layout="bhsd", return_lse=True)
    assert (out == 0).all() and np.isneginf(lse).all()
    k = rand(1, 1, 2, 16)
    out, lse = fms.attention(q, k, k, causal=True, layout="bhsd", return_lse=True)
    assert (out[:, :, :2] == 0).all() and np.isneginf(lse[..., :2]).all()
    assert np.isfinite(lse[..., 2:]).all()


def test_nothing_asked_is_nothing_done(fms):
    for shape in [(0, 2, 3, 16), (2, 2, 0, 16)]:
        q = np.empty(shape, np.float32)
        out, lse = fms.attention(q, q, q, layout="bhsd", return_lse=True)
        assert out.shape == shape and lse.shape == shape[:3]


def test_every_layout_is_the_same_without_a_copy(fms):
    q, k, v = rand(2, 4, 7, 16), rand(2, 2, 5, 16, seed=1), rand(2, 2, 5, 16, seed=2)
    expected, _ = reference(q, k, v)
    order = {"bhsd": (0, 1, 2, 3), "bshd": (0, 2, 1, 3), "sbhd": (2, 0, 1, 3)}
    for layout, axes in order.items():
        # Once as a view with the strides of bhsd, and once packed.
        for view in (lambda x: x.transpose(axes), lambda x: x.transpose(axes).copy()):
            out = fms.attention(view(q), view(k), view(v), layout=layout)
            assert_close(out.transpose(np.argsort(axes)), expected)


def test_strides_may_be_anything(fms):
    packed = rand(2, 6, 3, 4, 16)  # (batch, seq, qkv, heads, head_dim)
    q, k, v = packed[:, :, 0], packed[:, :, 1, ::2], packed[:, ::-1, 2, 1::2]
    expected, _ = reference(*(x.transpose(0, 2, 1, 3) for x in (q, k, v)))
    assert_close(fms.attention(q, k, v).transpose(0, 2, 1, 3), expected)
    one = np.broadcast_to(rand(1, 6, 1, 16), (2, 6, 2, 16))  # strides of 0, and read-only
    expected, _ = reference(*(x.transpose(0, 2, 1, 3) for x in (q, one, one)))
    assert_close(fms.attention(q, one, one).transpose(0, 2, 1, 3), expected)


def test_read_only_inputs_are_fine(fms):
    q = rand(1, 4, 2, 16)
    q.flags.writeable = False
    expected, _ = reference(*[q.transpose(0, 2, 1, 3)] * 3)
    assert_close(fms.attention(q, q, q).transpose(0, 2, 1, 3), expected)


def test_bfloat16_arrays_of_numpy(fms):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    q = rand(1, 2, 9, 16).astype(bfloat16)
    out = fms.flash_attention_science(q, q, q, causal=True)
    assert out.dtype == bfloat16
    assert_close(out.astype(np.float32), reference(q, q, q, causal=True)[0], "bfloat16")


def test_large_scores_stay_finite(fms):
    q = 100 * rand(1, 1, 8, 16)
    out, lse = fms.attention(q, q, q, layout="bhsd", return_lse=True)
    assert np.isfinite(out).all() and np.isfinite(lse).all()
    np.testing.assert_allclose(out, reference(q, q, q)[0], rtol=1e-3, atol=1e-3)


def test_the_scale_is_what_is_asked(fms):
    q = rand(1, 1, 8, 16)
    for scale in (0.5, -1.0):
        assert_close(
            fms.attention(q, q, q, softmax_scale=scale, layout="bhsd"),
            reference(q, q, q, scale=scale)[0])


@pytest.mark.parametrize("arguments, names", [
    ({"window_size": (4, -3)}, "window_size"), ({"softcap": -30.0}, "softcap"),
    ({"causal": "left"}, "causal"), ({"layout": "hsbd"}, "layout"), ({"softmax_scale": 0.0},
                                                                     "softmax_scale"),
])
def test_what_is_not_supported_is_named(fms, arguments, names):
    q = rand(1, 2, 2, 16)
    with pytest.raises(fms.Error, match=names):
        fms.attention(q, q, q, **arguments)
    support = fms.supports(q, q, q, **arguments)
    assert not support and names in support.reason


@pytest.mark.parametrize("k, v", [
    ((1, 2, 3, 8), (1, 2, 3, 8)), ((2, 2, 3, 16), (2, 2, 3, 16)), ((1, 3, 3, 16), (1, 3, 3, 16)),
    ((1, 2, 3, 16), (1, 2, 4, 16)), ((1, 2, 3, 16), (1, 1, 3, 16)), ((2, 3, 16), (2, 3, 16)),
])
def test_shapes_that_do_not_fit_are_refused_alike_by_both(fms, k, v):
    q = rand(1, 2, 4, 16)
    k, v = np.zeros(k, np.float32), np.zeros(v, np.float32)
    with pytest.raises(fms.InvalidArgumentError):
        fms.attention(q, k, v, layout="bhsd")
    assert not fms.supports(q, k, v, layout="bhsd")


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_types_without_a_kernel_are_refused(fms, dtype):
    q = np.zeros((1, 1, 1, 16), dtype)
    with pytest.raises(ValueError, match="may be float32, float16, bfloat16"):
        fms.attention(q, q, q)


def test_mixed_types_and_frameworks_are_refused(fms):
    q = rand(1, 1, 2, 16)
    with pytest.raises(ValueError, match="k has another dtype"):
        fms.attention(q, q.astype(np.float16), q)
    with pytest.raises(TypeError, match="v is of type 'list'"):
        fms.attention(q, q, [1])
    with pytest.raises(ValueError, match="last dimension"):
        fms.attention(rand(1, 1, 2, 32)[..., ::2], q, q)


def test_errors_of_operators_survive_pickling(fms):
    q = rand(1, 3, 2, 16)
    with pytest.raises(fms.InvalidArgumentError) as caught:
        fms.attention(q, q[:, :2], q[:, :2], layout="bshd")
        fms.attention(q, q, q[:, :2], layout="bhsd")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is fms.InvalidArgumentError and again.message == caught.value.message


def test_supports_says_yes(fms):
    q = rand(1, 4, 3, 16)
    support = fms.supports(q, q[:, :2], q[:, :2], layout="bhsd", causal=True)
    assert support and support.reason == ""


def test_a_forward_pass_can_be_warmed(fms, tmp_path):
    manifest = tmp_path / "attention.jsonl"
    q = rand(1, 1, 2, 16)
    with fms.record(manifest):
        fms.attention(q, q, q)
    assert '"op"' in manifest.read_text() and "attention" in manifest.read_text()


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


class TestWithPyTorch:
    """The same on PyTorch's tensors, against its own function."""

    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_results_are_those_of_sdpa(self, fms, torch, dtype):
        torch.manual_seed(0)
        sdpa = torch.nn.functional.scaled_dot_product_attention
        for seq in (1, 33, 64):
            q, k, v = (torch.randn(2, h, seq, 16).to(getattr(torch, dtype)) for h in (4, 2, 2))
            out = fms.flash_attention_science(q, k, v, causal=True)
            expected = sdpa(q.double(), k.double(), v.double(), is_causal=True, enable_gqa=True)
            assert out.dtype == q.dtype
            assert_close(out.double(), expected.numpy(), dtype)

    def test_top_left_is_pytorchs_causal(self, fms, torch):
        q, k = torch.randn(1, 2, 4, 16), torch.randn(1, 2, 7, 16)
        sdpa = torch.nn.functional.scaled_dot_product_attention
        ours = fms.attention(q, k, k, causal="top-left", layout="bhsd")
        assert_close(ours, sdpa(q, k, k, is_causal=True).double().numpy())
        assert (ours - fms.attention(q, k, k, causal=True, layout="bhsd")).abs().max() > 1e-3

    def test_the_result_has_the_order_of_qs_strides(self, fms, torch):
        q = torch.randn(2, 5, 3, 16).transpose(1, 2)  # bhsd, in memory bshd
        out = fms.flash_attention_science(q, q, q)
        assert out.stride() == q.stride()

    def test_a_tensor_that_requires_a_gradient_is_refused(self, fms, torch):
        q = torch.randn(1, 1, 4, 16, requires_grad=True)
        with pytest.raises(fms.UnsupportedError, match="q requires a gradient"):
            fms.flash_attention_science(q, q, q)
        assert not fms.supports(q, q, q)
        with torch.no_grad():
            fms.flash_attention_science(q, q, q)
        with torch.inference_mode():
            fms.flash_attention_science(q, q, q)

    def test_tensors_without_memory_are_refused(self, fms, torch):
        q, meta = torch.empty(1, 1, 4, 16), torch.empty(1, 1, 4, 16, device="meta")
        with pytest.raises(ValueError, match="k is on another device"):
            fms.attention(q, meta, meta)  # all of them on it: test_torch_operators.py
        sparse = torch.zeros(2, 2).to_sparse()
        with pytest.raises(fms.UnsupportedError, match="layout"):
            fms.attention(sparse, sparse, sparse)
