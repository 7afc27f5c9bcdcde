"""Masks and options of FlashMoEScienceAttention, beside PyTorch's."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic", "no_grad")

BATCH, HEADS, ROWS, KEYS, DIM = 3, 4, 7, 9, 64


def pair(fms, **options):
    theirs = torch.nn.MultiheadAttention(DIM, HEADS, **{"batch_first": True, **options}).eval()
    return theirs, fms.FlashMoEScienceAttention.from_multihead_attention(theirs)


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


def hidden(*shape):
    """True for some, and never for the first key."""
    mask = torch.rand(shape) > 0.5
    mask[..., 0] = False
    return mask


MASKS = {
    "bool": lambda: {"attn_mask": hidden(ROWS, KEYS)},
    "numbers": lambda: {"attn_mask": torch.randn(ROWS, KEYS)},
    "bool of each head": lambda: {"attn_mask": hidden(BATCH * HEADS, ROWS, KEYS)},
    "numbers of each head": lambda: {"attn_mask": torch.randn(BATCH * HEADS, ROWS, KEYS)},
    "padding": lambda: {"key_padding_mask": hidden(BATCH, KEYS)},
    "padding in numbers": lambda: {"key_padding_mask": torch.randn(BATCH, KEYS)},
    "both": lambda: {"attn_mask": hidden(ROWS, KEYS), "key_padding_mask": hidden(BATCH, KEYS)},
    "both, of each head": lambda: {"attn_mask": hidden(BATCH * HEADS, ROWS, KEYS),
                                   "key_padding_mask": hidden(BATCH, KEYS)},
}


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("which", MASKS)
def test_masks_are_those_of_multihead_attention(fms, which, batch_first):
    theirs, ours = pair(fms, batch_first=batch_first)
    x, memory = torch.randn(BATCH, ROWS, DIM), torch.randn(BATCH, KEYS, DIM)
    if not batch_first:
        x, memory = x.transpose(0, 1), memory.transpose(0, 1)
    masks = MASKS[which]()
    expected, _ = theirs(x, memory, memory, need_weights=False, **masks)
    assert_close(ours(x, memory, memory, **masks)[0], expected)


def test_masks_of_one_sequence(fms):
    theirs, ours = pair(fms)
    x, memory = torch.randn(ROWS, DIM), torch.randn(KEYS, DIM)
    for masks in ({"attn_mask": hidden(ROWS, KEYS)}, {"attn_mask": hidden(HEADS, ROWS, KEYS)},
                  {"key_padding_mask": hidden(KEYS)}):
        expected, _ = theirs(x, memory, memory, need_weights=False, **masks)
        assert_close(ours(x, memory, memory, **masks)[0], expected)


def test_padding_and_a_causal_mask_together(fms):
    theirs, ours = pair(fms)
    x, padding = torch.randn(BATCH, ROWS, DIM), hidden(BATCH, ROWS)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(ROWS) < 0
    expected, _ = theirs(x, x, x, attn_mask=causal, is_causal=True, key_padding_mask=padding,
                         need_weights=False)
    assert_close(ours(x, x, x, attn_mask=causal, is_causal=True, key_padding_mask=padding)[0],
                 expected)


def test_a_query_without_a_key_gives_what_zeros_give(fms):
    _, ours = pair(fms)
    out, _ = ours(torch.randn(1, ROWS, DIM), key_padding_mask=torch.ones(1, ROWS).bool())
    assert out.equal(ours.out_proj.bias.expand_as(out))


def test_pytorchs_layers_pass_their_masks(fms):
    layer = torch.nn.TransformerDecoderLayer(DIM, HEADS, 128, batch_first=True).eval()
    other = torch.nn.TransformerDecoderLayer(DIM, HEADS, 128, batch_first=True).eval()
    other.load_state_dict(layer.state_dict())
    for name in ("self_attn", "multihead_attn"):
        setattr(other, name, fms.FlashMoEScienceAttention.from_multihead_attention(
            getattr(layer, name)))
    x, memory = torch.randn(BATCH, ROWS, DIM), torch.randn(BATCH, KEYS, DIM)
    masks = {"tgt_mask": hidden(ROWS, ROWS), "memory_mask": hidden(ROWS, KEYS),
             "tgt_key_padding_mask": hidden(BATCH, ROWS),
             "memory_key_padding_mask": hidden(BATCH, KEYS)}
    assert_close(other(x, memory, **masks), layer(x, memory, **masks))


def heads_of(module, x):
    return [projection(x).unflatten(-1, (-1, module.head_dim)).transpose(1, 2)
            for projection in (module.q_proj, module.k_proj, module.v_proj)]


@pytest.mark.parametrize("causal, window", [(False, (2, 1)), (True, (3, 0)), (True, (3, 5))])
def test_a_window_is_sdpas_mask(fms, causal, window):
    ours = fms.FlashMoEScienceAttention(DIM, HEADS, causal=causal, window_size=window)
    x = torch.randn(BATCH, ROWS, DIM)
    distance = torch.arange(ROWS)[None, :] - torch.arange(ROWS)[:, None]
    seen = (distance >= -window[0]) & (distance <= (0 if causal else window[1]))
    expected = torch.nn.functional.scaled_dot_product_attention(*heads_of(ours, x), attn_mask=seen)
    assert_close(ours(x)[0], ours.out_proj(expected.transpose(1, 2).flatten(-2)))


def test_softcap_and_sinks_are_their_definitions(fms):
    ours = fms.FlashMoEScienceAttention(DIM, HEADS, softcap=0.5, sinks=True)
    assert ours.sinks.equal(torch.zeros(HEADS)) and not ours.sinks.requires_grad
    ours.load_state_dict({**ours.state_dict(), "sinks": torch.tensor([1.0, 0.0, -1.0, 3.0])})
    x = torch.randn(BATCH, ROWS, DIM)
    q, k, v = heads_of(ours, x)
    scores = 0.5 * torch.tanh(q @ k.mT * 0.25 / 0.5)
    sink = ours.sinks[None, :, None, None].expand(BATCH, HEADS, ROWS, 1)
    weights = torch.cat([scores, sink], -1).softmax(-1)[..., :-1]
    assert_close(ours(x)[0], ours.out_proj((weights @ v).transpose(1, 2).flatten(-2)))
    assert "softcap=0.5, sinks=True" in repr(ours)


def test_sinks_stay_usable_in_half_precision(fms):
    ours = fms.FlashMoEScienceAttention(DIM, HEADS, sinks=True).to(torch.bfloat16)
    assert ours(torch.randn(1, ROWS, DIM, dtype=torch.bfloat16))[0].isfinite().all()
    made = fms.FlashMoEScienceAttention(DIM, HEADS, sinks=True, dtype=torch.bfloat16)
    assert made.sinks.dtype == torch.float32


def test_masks_and_options_compile_as_one_graph(fms):
    ours = fms.FlashMoEScienceAttention(
        DIM, HEADS, causal=True, window_size=(3, 0), softcap=2.0, sinks=True)
    x, padding = torch.randn(BATCH, ROWS, DIM), hidden(BATCH, ROWS)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    assert_close(compiled(x, key_padding_mask=padding)[0], ours(x, key_padding_mask=padding)[0])


@pytest.mark.parametrize("masks, text", [
    ({"attn_mask": torch.zeros(2, ROWS, ROWS)}, "attn_mask is of shape .2, 7, 7.; it may be"),
    ({"attn_mask": torch.zeros(ROWS, ROWS + 1)}, "bias is of shape"),
    ({"attn_mask": torch.zeros(ROWS, ROWS).long()}, "attn_mask is of torch.int64"),
    ({"key_padding_mask": torch.zeros(ROWS).bool()}, "key_padding_mask is of shape .7,."),
], ids=str)
def test_masks_that_do_not_fit_are_named(fms, masks, text):
    with pytest.raises(fms.InvalidArgumentError, match=text):
        fms.FlashMoEScienceAttention(DIM, HEADS)(torch.randn(BATCH, ROWS, DIM), **masks)


def test_options_are_checked_when_the_module_is_made(fms):
    for options, text in (({"window_size": (1,)}, "window_size"), ({"softcap": -1}, "softcap"),
                          ({"causal": "upper"}, "causal")):
        with pytest.raises(fms.InvalidArgumentError, match=text):
            fms.FlashMoEScienceAttention(DIM, HEADS, **options)
