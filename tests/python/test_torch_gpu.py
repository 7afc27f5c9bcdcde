"""PyTorch's operators and module on a real GPU."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch has no GPU"),
    pytest.mark.usefixtures("nvrtc"),
]


def tensors(seq=257, head_dim=64, dtype=torch.bfloat16):
    torch.manual_seed(0)
    return [torch.randn(2, h, seq, head_dim, device="cuda", dtype=dtype) for h in (4, 2, 2)]


@pytest.mark.parametrize("layout", ["bhsd", "bshd", "sbhd"])
def test_the_operators_keep_pytorchs_rules(fms, layout):
    order = {"bhsd": (0, 1, 2, 3), "bshd": (0, 2, 1, 3), "sbhd": (2, 0, 1, 3)}[layout]
    given = [each.permute(order) for each in tensors(65)]
    fms.attention(*given, layout=layout)
    for name in ("attention_forward", "attention_forward_lse"):
        operator = getattr(torch.ops.flashmoe_science, name).default
        torch.library.opcheck(operator, given, {"layout": layout, "mask": "bottom-right"})


def test_a_whole_graph_is_compiled(fms):
    def model(q, k, v):
        return fms.flash_attention_science(q * 2, k, v, causal=True) + 1

    given = tensors()
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(*given), model(*given))


def test_it_is_captured_after_a_warm_up(fms):
    q, k, v = tensors()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        fms.flash_attention_science(q, k, v)
    torch.cuda.current_stream().wait_stream(side)
    fms.wait_for_background()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = fms.flash_attention_science(q, k, v)
        through = torch.ops.flashmoe_science.attention_forward(q, k, v, layout="bhsd")
    q.mul_(2)
    graph.replay()
    expected = fms.flash_attention_science(q, k, v)
    torch.cuda.synchronize()
    assert out.equal(through)
    torch.testing.assert_close(out, expected)


def test_it_works_on_the_current_stream(fms):
    q, k, v = tensors()
    expected = fms.flash_attention_science(q + 1, k, v)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)  # what the kernel must come after
        q.add_(1)
        out = fms.flash_attention_science(q, k, v)
    stream.synchronize()
    assert out.equal(expected)


def test_the_module_is_that_of_pytorch(fms):
    theirs = torch.nn.MultiheadAttention(256, 4, batch_first=True, device="cuda").bfloat16().eval()
    ours = fms.FlashMoEScienceAttention.from_multihead_attention(theirs)
    x = torch.randn(2, 100, 256, device="cuda", dtype=torch.bfloat16)
    with torch.inference_mode():
        torch.testing.assert_close(
            ours(x)[0], theirs(x, x, x, need_weights=False)[0], rtol=2e-2, atol=2e-2)


def test_tensors_on_other_devices_are_refused(fms):
    q, k, v = tensors(5)
    with pytest.raises(ValueError, match="k is on another device"):
        fms.flash_attention_science(q, k.cpu(), v)
