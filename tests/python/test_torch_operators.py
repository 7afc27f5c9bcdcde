"""Attention as an operator of PyTorch: what its compiler, its fakes and its transforms see."""

import importlib
import shutil

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic")

ORDERS = {"bshd": (0, 1, 2, 3), "bhsd": (0, 2, 1, 3), "sbhd": (1, 0, 2, 3)}


@pytest.fixture(scope="module")
def operators(fms):
    from flashmoe_science import _torch_operators

    return torch.ops.flashmoe_science.attention_forward.default, (
        torch.ops.flashmoe_science.attention_forward_lse.default), _torch_operators


def tensors(layout="bshd", seq_q=5, seq_k=7, heads=4, kv_heads=2, dtype=torch.float32):
    """q, k and v, packed in the order bshd, and seen in that of the layout."""
    torch.manual_seed(0)
    shapes = ((2, seq_q, heads, 16), (2, seq_k, kv_heads, 16), (2, seq_k, kv_heads, 16))
    return tuple(torch.randn(s).to(dtype).permute(ORDERS[layout]) for s in shapes)


@pytest.mark.parametrize("which, options", [
    (0, {}), (0, {"layout": "bhsd", "softmax_scale": 0.3}),
    (1, {"mask": "top-left", "layout": "sbhd"})], ids=str)
def test_the_operators_keep_pytorchs_rules(operators, which, options):
    torch.library.opcheck(operators[which], tensors(options.get("layout", "bshd")), options)


def test_the_operator_is_what_attention_computes(fms, operators):
    for layout in ORDERS:
        q, k, v = tensors(layout)
        out, lse = fms.attention(q, k, v, causal=True, layout=layout, return_lse=True)
        again, lse_again = operators[1](q, k, v, mask="bottom-right", layout=layout)
        alone = operators[0](q, k, v, mask="bottom-right", layout=layout)
        assert out.equal(again) and out.equal(alone) and lse.equal(lse_again)
        assert out.stride() == again.stride() == alone.stride() == q.stride()


@pytest.mark.parametrize("layout", ORDERS)
def test_fakes_have_the_strides_of_results(fms, layout):
    from torch._subclasses.fake_tensor import FakeTensorMode

    packed = torch.randn(2, 5, 3, 4, 16)
    inputs = [tensors(layout), [packed[:, :, i].permute(ORDERS[layout]) for i in range(3)],
              [t.permute(ORDERS[layout]).expand(2, 2, 2, 16) for t in torch.randn(3, 1, 1, 1, 16)]]
    for given in inputs:
        real = fms.attention(*given, layout=layout, return_lse=True)
        with FakeTensorMode() as mode:
            fake = fms.attention(
                *(mode.from_tensor(t) for t in given), layout=layout, return_lse=True)
        meta = fms.attention(*(t.to("meta") for t in given), layout=layout)
        for a, b in zip(real, fake):
            assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
        assert meta.shape == real[0].shape and meta.is_meta


@pytest.mark.parametrize("return_lse", [False, True])
def test_a_whole_graph_is_compiled(fms, return_lse):
    def model(q, k, v):
        found = fms.attention(2 * q, k, v, causal="top-left", return_lse=return_lse)
        return [each + 1 for each in (found if return_lse else (found,))]

    q, k, v = tensors()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for a, b in zip(compiled(q, k, v), model(q, k, v)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_one_graph_serves_every_length(fms):
    torch._dynamo.reset()
    counts = importlib.import_module("torch._dynamo.testing").CompileCounter()
    compiled = torch.compile(
        lambda q, k, v: fms.attention(q, k, v, causal=True), fullgraph=True, dynamic=True,
        backend=counts)
    for seq_q, seq_k in ((5, 7), (9, 7), (6, 30)):
        q, k, v = tensors(seq_q=seq_q, seq_k=seq_k)
        assert compiled(q, k, v).equal(fms.attention(q, k, v, causal=True))
    assert counts.frame_count == 1


@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler on the CPU")
def test_inductor_hands_over_the_strides_it_was_traced_with(fms):
    def model(x):
        q, k, v = (x @ x.transpose(-1, -2)).unflatten(-1, (3, 2, 16)).unbind(2)
        return fms.flash_attention_science(*(t.transpose(1, 2) for t in (q, k, v))) * 2

    x = torch.randn(2, 96, 32)
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


def test_an_exported_program_has_the_operator(fms):
    class Model(torch.nn.Module):
        def forward(self, q, k, v):
            return fms.attention(q, k, v)

    program = torch.export.export(Model(), tensors())
    targets = [str(node.target) for node in program.graph.nodes]
    assert "flashmoe_science.attention_forward.default" in targets
    assert program.module()(*tensors()).equal(fms.attention(*tensors()))


def test_tracing_records_the_operator_and_no_constant(fms):
    traced = torch.jit.trace(lambda q, k, v: fms.attention(q, k, v), tensors(), check_trace=False)
    q, k, v = tensors(seq_q=9)
    assert traced(q + 1, k, v).equal(fms.attention(q + 1, k, v))


def test_modes_see_the_operator(fms, operators):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            names.append(func)
            return func(*args, **kwargs or {})

    names = []
    with Seen():
        fms.attention(*tensors())
    assert operators[0] in names


@pytest.mark.parametrize("axes", [(0, 0, 0), (1, None, 2), (None, 4, None)])
def test_vmap_is_one_launch_over_a_larger_batch(fms, axes):
    whole = [
        t if axis is None else torch.stack([t, -t, 2 * t], dim=axis)
        for t, axis in zip(tensors("bhsd"), axes)]
    function = lambda q, k, v: fms.attention(q, k, v, layout="bhsd", return_lse=True)  # noqa: E731
    out, lse = torch.func.vmap(function, in_dims=axes)(*whole)
    for i in range(3):
        one = function(
            *(t if a is None else t.select(a, i).contiguous() for t, a in zip(whole, axes)))
        torch.testing.assert_close((out[i], lse[i]), one, rtol=0, atol=1e-6)


def test_gradients_are_refused_on_every_way_in(fms, operators):
    q, k, v = tensors()
    needs = q.clone().requires_grad_()
    text = "q requires a gradient, and the backward pass isn't here yet"
    for call in (lambda: fms.attention(needs, k, v), lambda: operators[0](needs, k, v),
                 lambda: fms.attention(torch.nn.Parameter(q), k, v, return_lse=True),
                 lambda: operators[1](needs, k, v),
                 lambda: torch.func.grad(lambda q: fms.attention(q, k, v).sum())(q),
                 lambda: torch.func.grad(lambda q: operators[0](q, k, v).sum())(q),
                 lambda: torch.compile(lambda q: fms.attention(q, k, v), fullgraph=True,
                                       backend="aot_eager")(needs)):
        with pytest.raises(RuntimeError, match=text):
            call()
    with pytest.raises(fms.UnsupportedError, match="q has a tangent"):
        torch.func.jvp(lambda q: fms.attention(q, k, v), (q,), (q,))
    expected = fms.attention(q, k, v)
    with torch.no_grad():
        assert fms.attention(needs, k, v).equal(expected)
        assert operators[0](torch.nn.Parameter(q), k, v).equal(expected)
    with torch.inference_mode():
        assert fms.attention(q, k, v).equal(expected)
        assert operators[0](q, k, v).equal(expected)


def test_tensors_whose_memory_has_the_other_sign_are_read_right(fms):
    q, k, v = tensors("bhsd")
    seen = torch._neg_view(q)  # as z.conj().imag is
    assert seen.is_neg()
    assert fms.flash_attention_science(seen, k, v).equal(
        fms.flash_attention_science(seen.resolve_neg(), k, v))


@pytest.mark.parametrize("change, names", [
    (lambda q, k, v: (q.double(), k, v), "dtype"), (lambda q, k, v: (q, k.half(), v), "dtype"),
    (lambda q, k, v: (q[0], k, v), "dimensions"), (lambda q, k, v: (q, k[:1], v), "batch"),
    (lambda q, k, v: (q, k, v[:, 1:]), "length"), (lambda q, k, v: (q[:, :, :3], k, v), "divisor"),
    (lambda q, k, v: (q[..., ::2], k[..., :8], v[..., :8]), "stride"),
    (lambda q, k, v: (q[..., :8], k, v), "head dimension"),
])
def test_what_does_not_fit_is_refused_alike_with_and_without_memory(fms, change, names):
    given = change(*tensors())
    with pytest.raises(ValueError, match=f"{names}|type"):
        fms.attention(*given)
    with pytest.raises(ValueError, match=f"{names}|type"):
        torch.ops.flashmoe_science.attention_forward(*(t.to("meta") for t in given)
                                                     if names != "stride" else given)


def test_values_that_do_not_exist_are_refused_by_the_operator(operators):
    for options in ({"mask": "causal"}, {"layout": "hsbd"}, {"softmax_scale": 0.0}):
        for device in ("cpu", "meta"):
            for operator in operators[:2]:
                with pytest.raises((ValueError, RuntimeError), match=next(iter(options))):
                    operator(*(t.to(device) for t in tensors()), **options)


def test_plain_calls_skip_the_dispatcher(fms, operators):
    q, k, v = tensors()
    assert operators[2].is_direct(q, k, v)
    with torch.no_grad():
        assert operators[2].is_direct(q.requires_grad_(), k, v)
    assert not operators[2].is_direct(q, k, v)
    assert not operators[2].is_direct(k, v, v.to("meta"))
