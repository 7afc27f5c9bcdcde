"""PyTorch's operators and module on a real GPU."""

import concurrent.futures
import importlib

import attention_reference
import numpy as np
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
    operators = importlib.import_module("flashmoe_science.torch")
    for operator in (operators.attention_forward, operators.attention_forward_lse):
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
    importlib.import_module("flashmoe_science.torch")  # registers the operator
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


def test_the_result_is_an_empty_like_of_pytorchs(fms):
    packed = torch.randn(2, 65, 3, 4, 64, device="cuda", dtype=torch.bfloat16)
    forms = {
        "as it is": torch.randn(2, 4, 65, 64, device="cuda", dtype=torch.bfloat16),
        "transposed": torch.randn(2, 65, 4, 64, device="cuda", dtype=torch.float16).transpose(1, 2),
        "one of a packed array": packed[:, :, 0].transpose(1, 2),
        "broadcast": packed[:1, :, 1].expand(2, -1, -1, -1).transpose(1, 2),
        "one row": torch.randn(1, 4, 1, 64, device="cuda")[:, ::2],
    }
    for name, q in forms.items():
        for _ in range(2):
            out = fms.flash_attention_science(q, q, q)
            like = torch.empty_like(q)
            assert (out.shape, out.stride(), out.dtype, out.device) == (
                like.shape, like.stride(), like.dtype, like.device), name
        torch.cuda.synchronize()
        del out, like
        before = torch.cuda.memory_allocated()
        out = fms.flash_attention_science(q, q, q)
        assert torch.cuda.memory_allocated() - before >= out.nbytes, name


def test_threads_get_results_of_their_own_form(fms):
    def attend(seq):
        q = torch.randn(2, 4, seq, 64, device="cuda", dtype=torch.bfloat16)
        return all(fms.flash_attention_science(q, q, q).shape == q.shape for _ in range(500))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert all(threads.map(attend, (1, 2, 65, 130)))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_the_tensors_device_is_where_it_runs(fms):
    for device in ("cuda:1", "cuda:0", "cuda:1"):  # the current one is cuda:0
        q, k, v = (each.to(device) for each in tensors(65))
        out = fms.flash_attention_science(q, k, v)
        assert out.device == q.device
        expected = torch.nn.functional.scaled_dot_product_attention(
            q.float(), *(x.repeat_interleave(2, dim=1).float() for x in (k, v)))
        torch.testing.assert_close(out.float(), expected, rtol=0, atol=1.6e-2)


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


MODS = """
struct Mods {
  const float* slopes; const int* documents;
  __device__ float score(float score, int batch, int head, int query, int key) const {
    return score - slopes[head] * fabsf(float(query - key));
  }
  __device__ bool mask(int batch, int head, int query, int key) const {
    return documents[query] == documents[key];
  }
};
"""


def drawn(dtype, seq_q, seq_k, dim, value_dim):
    """q, k and v in the order (batch, seq, heads, dim)."""
    torch.manual_seed(seq_q + dim)
    return [torch.randn(2, *shape, device="cuda").to(dtype) for shape in (
        (seq_q, 4, dim), (seq_k, 2, dim), (seq_k, 2, value_dim))]


def assert_right(given, got, dtype, **expected):
    """Within the roundings of the result and, on tensor cores, of the weights."""
    exact, exact_lse = attention_reference.attention(
        *(x.double().transpose(1, 2).cpu().numpy() for x in given), **expected)
    out, lse = got
    roundoff = torch.finfo(dtype).eps
    error = np.abs(out.double().transpose(1, 2).cpu().numpy() - exact).max()
    assert error <= 3 * roundoff * given[2].abs().max().item() + 1e-5
    tolerance = 2e-2 if expected.get("softcap") and dtype == torch.bfloat16 else 1e-4
    np.testing.assert_allclose(lse.double().cpu().numpy(), exact_lse, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("dims", [(64, 64), (128, 128), (192, 128), (20, 12)], ids=str)
@pytest.mark.parametrize("lengths", [(257, 257), (100, 391), (1, 300)], ids=str)
def test_options_are_right(fms, dtype, dims, lengths):
    given = drawn(dtype, *lengths, *dims)
    sinks = torch.tensor([0.5, -3.0, 4.0, float("-inf")], device="cuda")
    bias = torch.randn(4, *lengths, device="cuda").to(dtype)
    column = torch.randn(2, 1, 1, lengths[1], device="cuda")
    slopes = 2.0 ** -torch.arange(1, 5, device="cuda", dtype=torch.float32)
    documents = (torch.arange(max(lengths), device="cuda", dtype=torch.int32) // 90)
    mods = fms.mods(MODS, slopes=slopes, documents=documents)
    by_hand = {
        "score": lambda s, b, h, q, k: s - 2.0 ** -(h + 1.0) * np.abs(q - k),
        "mask": lambda b, h, q, k: q // 90 == k // 90}
    exact = {"bias": bias.double().cpu().numpy(), "column": column.double().cpu().numpy()}
    with fms.configure(policy="dynamic"):
        for options, expected in (
            ({"causal": True}, {"causal": True}),
            ({"window_size": (50, 9), "sinks": sinks},
             {"window": (50, 9), "sinks": sinks.double().cpu().numpy()}),
            ({"softcap": 5.0, "causal": "top-left"}, {"softcap": 5.0, "causal": "top-left"}),
            ({"bias": bias}, {"bias": exact["bias"]}),
            ({"bias": column, "causal": True}, {"bias": exact["column"], "causal": True}),
            ({"mods": mods}, by_hand),
        ):
            got = fms.attention(*given, return_lse=True, **options)
            if "softcap" not in options or dtype != torch.bfloat16:
                assert_right(given, got, dtype, **expected)
            assert got[0].shape == (2, lengths[0], 4, dims[1])
        table = fms.block_table(*given, mods=mods, per_batch=False, per_head=False)
        got = fms.attention(*given, mods=mods, block_table=table, return_lse=True)
        assert_right(given, got, dtype, **by_hand)
        # Few queries sum in another order without a table, as head dim 64 does without return_lse.
        if lengths[0] > 16:
            assert got[0].equal(fms.attention(*given, mods=mods, return_lse=True)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_packed_sequences_are_those_alone(fms, dtype):
    starts = torch.tensor([0, 100, 100, 357, 358, 500], device="cuda", dtype=torch.int32)
    q, k, v = (torch.randn(500, h, 64, device="cuda").to(dtype) for h in (4, 2, 2))
    with fms.configure(policy="dynamic"):
        out, lse = fms.attention(q, k, v, cu_seqlens_q=starts, causal=True, return_lse=True)
        for begin, end in ((0, 100), (100, 357), (357, 358), (358, 500)):
            alone = [x[None, begin:end] for x in (q, k, v)]
            assert_right(alone, (out[None, begin:end], lse[None, :, begin:end]), dtype, causal=True)


def test_options_are_captured_and_compiled(fms):
    q, k, v = (x.transpose(1, 2).contiguous() for x in tensors())
    documents = torch.arange(257, device="cuda", dtype=torch.int32) // 100
    mods = fms.mods("documents", documents=documents, batch_stride=0)

    def model():
        return fms.attention(q, k, v, mods=mods, causal=True)

    expected = model()
    assert torch.compile(model, fullgraph=True)().equal(expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = model()
    documents.zero_()  # a mask that changes is no new kernel
    graph.replay()
    assert out.equal(fms.attention(q, k, v, causal=True))


# A tile's biases are read from shared memory while copies of later ones are on their way there.
@pytest.mark.parametrize("head_dim", [64, 128])
def test_biases_give_the_same_bits_each_time(fms, head_dim):
    torch.manual_seed(0)
    q, k, v = (torch.randn(4, 16, 2048, head_dim, device="cuda").bfloat16() for _ in range(3))
    bias = torch.randn(1, 16, 2048, 2048, device="cuda").bfloat16()
    first = fms.attention(q, k, v, bias=bias, layout="bhsd")
    for _ in range(40):
        assert fms.attention(q, k, v, bias=bias, layout="bhsd").equal(first)


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("causal", [False, True])
def test_slopes_are_a_bias(fms, head_dim, causal):
    q, k, v = tensors(384, head_dim)
    slopes = torch.rand(2, 4, device="cuda")
    places = torch.arange(384, device="cuda")
    bias = -slopes[..., None, None] * (places[:, None] - places).abs()
    out = fms.attention(q, k, v, alibi_slopes=slopes, causal=causal, layout="bhsd")
    expected = fms.attention(q, k, v, bias=bias, causal=causal, layout="bhsd")
    # Each is rounded to bfloat16, and so are its weights, relative to maxima of their own.
    torch.testing.assert_close(out, expected, rtol=0, atol=3e-2)
