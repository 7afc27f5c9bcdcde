"""Packed sequences that are wrong, and masks of FlashMoEScienceAttention, on a real GPU."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch has no GPU"),
    pytest.mark.usefixtures("nvrtc"),
]


def starts(*numbers):
    return torch.tensor(numbers, dtype=torch.int32, device="cuda")


def test_wrong_packed_sequences_are_refused_where_the_call_waits(fms):
    x = torch.randn(130, 4, 64, device="cuda", dtype=torch.bfloat16)
    for wrong, text in ((starts(0, 70, 60, 130), "falls from 70 to 60, at 2"),
                        (starts(0, 60, 131), "ends with 131, and must end with 130"),
                        (starts(5, 130), "begins with 5")):
        with pytest.raises(fms.InvalidArgumentError, match=text):
            fms.attention(x, x, x, cu_seqlens_q=wrong)
        with fms.configure(sanitize="address"), pytest.raises(fms.InvalidArgumentError, match=text):
            fms.attention(x, x, x, cu_seqlens_q=wrong, max_seqlen_q=130, max_seqlen_k=130)
    right = starts(0, 60, 130)
    given = fms.attention(x, x, x, cu_seqlens_q=right, max_seqlen_q=70, max_seqlen_k=70)
    assert given.equal(fms.attention(x, x, x, cu_seqlens_q=right))


@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_masks_are_those_of_multihead_attention(fms, dtype, atol):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(
        256, 4, batch_first=True, device="cuda", dtype=dtype).eval()
    ours = fms.FlashMoEScienceAttention.from_multihead_attention(theirs)
    x = torch.randn(2, 129, 256, device="cuda", dtype=dtype)
    hidden = torch.rand(129, 129, device="cuda") > 0.5
    hidden[:, 0] = False
    padding = torch.arange(129, device="cuda").expand(2, -1) >= 100
    for masks in ({"attn_mask": hidden}, {"key_padding_mask": padding},
                  {"attn_mask": hidden, "key_padding_mask": padding},
                  {"attn_mask": torch.randn(8, 129, 129, device="cuda", dtype=dtype)}):
        with torch.no_grad():
            expected, _ = theirs(x, x, x, need_weights=False, **masks)
            torch.testing.assert_close(ours(x, x, x, **masks)[0], expected, rtol=0, atol=atol)


def test_a_module_with_every_option_compiles(fms):
    ours = fms.FlashMoEScienceAttention(
        256, 4, 2, causal=True, window_size=(40, 0), softcap=5.0, sinks=True, device="cuda",
        dtype=torch.bfloat16)
    x = torch.randn(2, 129, 256, device="cuda", dtype=torch.bfloat16)
    with torch.no_grad():
        compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
        assert compiled(x)[0].equal(ours(x)[0])
