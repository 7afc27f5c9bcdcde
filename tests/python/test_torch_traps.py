"""Where libraries of attention differ in silence: each convention, against PyTorch's own words."""

import math

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic")
sdpa = torch.nn.functional.scaled_dot_product_attention


def rand(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


@pytest.mark.parametrize("seq_q, seq_k", [(4, 7), (7, 4), (1, 6), (5, 5)])
def test_causal_is_aligned_to_the_last_key_and_top_left_to_the_first(fms, seq_q, seq_k):
    q, k, v = rand(1, 2, seq_q, 16), rand(1, 2, seq_k, 16, seed=1), rand(1, 2, seq_k, 16, seed=2)
    to_last = torch.ones(seq_q, seq_k).tril(seq_k - seq_q).bool()
    expected = sdpa(q, k, v, attn_mask=to_last).nan_to_num(0)  # a query that sees no key: zeros
    assert_close(fms.flash_attention_science(q, k, v, causal=True), expected)
    assert_close(fms.attention(q, k, v, causal="top-left", layout="bhsd"),
                 sdpa(q, k, v, is_causal=True))
    from torch.nn.attention.bias import causal_lower_right

    if seq_q <= seq_k:
        assert_close(fms.flash_attention_science(q, k, v, causal=True),
                     sdpa(q, k, v, attn_mask=causal_lower_right(seq_q, seq_k)))


@pytest.mark.parametrize("scale", [None, 0.37])
def test_the_log_sum_exp_is_natural_of_scaled_scores_and_batch_heads_seq(fms, scale):
    q, k, v = rand(2, 5, 4, 16), rand(2, 9, 2, 16, seed=1), rand(2, 9, 2, 16, seed=2)
    _, lse = fms.attention(q, k, v, softmax_scale=scale, return_lse=True)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k.repeat_interleave(2, dim=2))
    expected = torch.logsumexp(scores * (scale or 1 / math.sqrt(16)), dim=-1)
    assert lse.dtype == torch.float32 and lse.shape == (2, 4, 5)
    assert_close(lse, expected)


def test_the_log_sum_exp_joins_two_halves_of_the_keys(fms):
    q, k, v = rand(1, 6, 2, 16), rand(1, 10, 2, 16, seed=1), rand(1, 10, 2, 16, seed=2)
    whole = fms.attention(q, k, v)
    (a, lse_a), (b, lse_b) = (
        fms.attention(q, k[:, part], v[:, part], return_lse=True)
        for part in (slice(0, 4), slice(4, 10)))
    weight = torch.sigmoid(lse_a - lse_b).transpose(1, 2)[..., None]
    assert_close(weight * a + (1 - weight) * b, whole)


def test_query_heads_share_keys_by_neighbours(fms):
    q, k, v = rand(1, 6, 5, 16), rand(1, 2, 5, 16, seed=1), rand(1, 2, 5, 16, seed=2)
    out = fms.flash_attention_science(q, k, v)
    assert_close(out, sdpa(q, k, v, enable_gqa=True))
    for head in range(6):
        alone = fms.flash_attention_science(
            q[:, head:head + 1], k[:, head // 3:head // 3 + 1], v[:, head // 3:head // 3 + 1])
        assert_close(out[:, head:head + 1], alone)


def test_a_layout_is_taken_at_its_word(fms):
    """Where seq equals heads, no shape tells them apart."""
    x = rand(3, 4, 4, 16)
    as_heads_first = fms.attention(x, x, x, layout="bhsd")
    as_seq_first = fms.attention(x, x, x)
    assert_close(as_heads_first, sdpa(x, x, x))
    assert_close(as_seq_first.transpose(1, 2), sdpa(*[x.transpose(1, 2)] * 3))
    assert (as_heads_first - as_seq_first).abs().max() > 1e-2


def test_what_lies_around_the_inputs_is_neither_read_nor_written(fms):
    whole = torch.full((2, 3, 12, 24), math.nan)
    whole[:, :, 2:9, 4:20] = rand(2, 3, 7, 16)
    x = whole[:, :, 2:9, 4:20]
    before = whole.clone()
    out, lse = fms.attention(x, x, x, causal=True, layout="bhsd", return_lse=True)
    assert_close(out, sdpa(x, x, x, is_causal=True))
    assert lse.isfinite().all()
    torch.testing.assert_close(whole, before, equal_nan=True, rtol=0, atol=0)


def test_results_are_the_same_bits_each_time_and_for_each_batch(fms):
    q, k, v = rand(3, 2, 33, 16), rand(3, 2, 33, 16, seed=1), rand(3, 2, 33, 16, seed=2)
    out = fms.flash_attention_science(q, k, v)
    assert out.equal(fms.flash_attention_science(q, k, v))
    assert out[1:2].equal(fms.flash_attention_science(q[1:2], k[1:2], v[1:2]))


def test_a_kernel_refuses_tensors_whose_memory_holds_other_values(fms):
    copy = fms.jit('extern "C" __global__ void copy(const float* x, float* y) { *y = *x; }')
    y = torch.zeros(1)
    negated = torch.tensor([1 + 1j, 2 + 2j]).conj().imag
    assert negated.is_neg()
    with pytest.raises(TypeError, match="resolve_neg"):
        copy[1, 1](negated, y)
    copy[1, 1](negated.resolve_neg(), y)
    assert y.item() == -1
    with pytest.raises(TypeError, match="no memory"):
        copy[1, 1](torch._efficientzerotensor(1), y)
    # A strided view that is plain is taken.
    copy[1, 1](torch.tensor([[3.0, 4.0]]).t()[1:], y)
    assert y.item() == 4
