"""FlashMoEScienceAttention beside torch.nn.MultiheadAttention."""

import copy

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic", "no_grad")


def pair(fms, **options):
    """A module of PyTorch's, with biases that aren't zero, and ours with its weights."""
    theirs = torch.nn.MultiheadAttention(64, 4, **{"batch_first": True, **options}).eval()
    for name, parameter in theirs.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return theirs, fms.FlashMoEScienceAttention.from_multihead_attention(theirs)


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


@pytest.mark.parametrize("options", [
    {}, {"batch_first": False}, {"bias": False}, {"kdim": 24, "vdim": 40}], ids=str)
def test_its_calls_are_those_of_multihead_attention(fms, options):
    theirs, ours = pair(fms, **options)
    x = torch.randn(3, 7, 64)
    k = torch.randn(3, 7, options.get("kdim", 64))
    v = torch.randn(3, 7, options.get("vdim", 64))
    for given in ((x, k, v), (x[0], k[0], v[0])):
        expected, _ = theirs(*given, need_weights=False)
        out, weights = ours(*given, need_weights=False)
        assert weights is None
        assert_close(out, expected)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(
        7 if ours.batch_first else 3)
    expected, _ = theirs(x, k, v, attn_mask=mask, need_weights=False)
    assert_close(ours(x, k, v, attn_mask=mask, is_causal=True)[0], expected)


def test_one_argument_is_self_attention_and_two_are_cross_attention(fms):
    theirs, ours = pair(fms)
    x, memory = torch.randn(2, 5, 64), torch.randn(2, 9, 64)
    assert_close(ours(x)[0], theirs(x, x, x)[0])
    assert_close(ours(x, memory)[0], theirs(x, memory, memory)[0])
    assert_close(ours(x, memory, memory, is_causal=True)[0], theirs(
        x, memory, memory, attn_mask=torch.ones(5, 9).triu(1).bool(), is_causal=True,
        need_weights=False)[0])


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_grouped_queries_are_those_of_sdpa(fms, n_kv_heads):
    ours = fms.FlashMoEScienceAttention(
        48, 4, n_kv_heads, head_dim=16, bias=False, causal=True, softmax_scale=0.2)
    x = torch.randn(2, 11, 48)
    q, k, v = (
        projection(x).unflatten(-1, (-1, 16)).transpose(1, 2)
        for projection in (ours.q_proj, ours.k_proj, ours.v_proj))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, scale=0.2, enable_gqa=True)
    assert_close(ours(x)[0], ours.out_proj(expected.transpose(1, 2).flatten(-2)))


def test_it_works_inside_pytorchs_own_layers(fms):
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    other = copy.deepcopy(layer)
    other.self_attn = fms.FlashMoEScienceAttention.from_multihead_attention(layer.self_attn)
    x = torch.randn(2, 9, 64)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(9)
    assert_close(other(x), layer(x))
    assert_close(other(x, src_mask=mask, is_causal=True), layer(x, src_mask=mask, is_causal=True))


def test_its_weights_are_those_of_four_linear_layers(fms):
    ours = fms.FlashMoEScienceAttention(64, 4, 2)
    shapes = {name: tuple(value.shape) for name, value in ours.state_dict().items()}
    assert shapes == {
        "q_proj.weight": (64, 64), "q_proj.bias": (64,), "k_proj.weight": (32, 64),
        "k_proj.bias": (32,), "v_proj.weight": (32, 64), "v_proj.bias": (32,),
        "out_proj.weight": (64, 64), "out_proj.bias": (64,)}
    again = fms.FlashMoEScienceAttention(64, 4, 2)
    again.load_state_dict(ours.state_dict())
    x = torch.randn(1, 5, 64)
    assert again(x)[0].equal(ours(x)[0])
    assert copy.deepcopy(ours)(x)[0].equal(ours(x)[0])


def test_it_compiles_as_one_graph(fms):
    ours = fms.FlashMoEScienceAttention(64, 4, causal=True)
    x = torch.randn(2, 5, 64)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    assert_close(compiled(x)[0], ours(x)[0])


def test_it_is_made_on_any_device_and_of_any_type(fms):
    meta = fms.FlashMoEScienceAttention(64, 4, device="meta", dtype=torch.bfloat16)
    out, _ = meta(torch.empty(2, 5, 64, device="meta", dtype=torch.bfloat16))
    assert out.shape == (2, 5, 64) and out.is_meta and out.dtype == torch.bfloat16
    half = fms.FlashMoEScienceAttention(64, 4, dtype=torch.bfloat16)
    assert half(torch.randn(1, 5, 64, dtype=torch.bfloat16))[0].isfinite().all()


def test_what_it_can_not_do_is_named(fms):
    ours = fms.FlashMoEScienceAttention(64, 4)
    x = torch.randn(1, 5, 64)
    with pytest.raises(fms.UnsupportedError, match="need_weights"):
        ours(x, need_weights=True)
    with pytest.raises(fms.UnsupportedError, match="dropout"):
        fms.FlashMoEScienceAttention(64, 4, dropout=0.1)
    for given, name in (((64, 5), "head_dim"), ((64, 4, 3), "n_kv_heads"),
                        ((2048, 4), "head_dim is 512")):
        with pytest.raises(fms.InvalidArgumentError, match=name):
            fms.FlashMoEScienceAttention(*given)
    with pytest.raises(fms.UnsupportedError, match="bias_kv"):
        fms.FlashMoEScienceAttention.from_multihead_attention(
            torch.nn.MultiheadAttention(64, 4, add_bias_kv=True))
    with torch.enable_grad(), pytest.raises(fms.UnsupportedError, match="requires a gradient"):
        ours(x)
