"""The operator by its name: it goes around PyTorch's dispatcher, and everything that looks on at
PyTorch's operators sees it all the same."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic")


@pytest.fixture(scope="module")
def operator(fms):
    import flashmoe_science.torch

    return flashmoe_science.torch.attention_forward


def tensors(dtype=torch.float32):
    torch.manual_seed(0)
    shapes = ((2, 5, 4, 16), (2, 7, 2, 16), (2, 7, 2, 16))
    return tuple(torch.randn(shape).to(dtype) for shape in shapes)


def dispatched(call):
    """Whether a kernel in Python ran, which PyTorch's dispatcher calls."""
    names = []
    sys.setprofile(lambda frame, event, _: names.append(frame.f_code.co_name))
    try:
        call()
    finally:
        sys.setprofile(None)
    return "above" in names or "_compute" in names


def test_a_call_by_name_goes_around_the_dispatcher(operator):
    q, k, v = tensors()
    packet = torch.ops.flashmoe_science.attention_forward
    for way in (operator, packet):
        assert not dispatched(lambda way=way: way(q, k, v))
        assert not dispatched(lambda way=way: way(q, k, v, None, None, None, None, None, None))
        assert not dispatched(lambda way=way: way(
            *(t.transpose(1, 2) for t in (q, k, v)), layout="bhsd", mask="top-left",
            softmax_scale=2))
        with torch.no_grad():
            assert not dispatched(lambda way=way: way(q.clone().requires_grad_(), k, v))
    assert dispatched(lambda: operator(q, k, v, softcap=3.0))
    assert dispatched(lambda: operator(*(t.transpose(0, 1) for t in (q, k, v)), layout="sbhd"))


def test_both_ways_give_the_same(fms, operator):
    for dtype in (torch.float32, torch.bfloat16):
        q, k, v = tensors(dtype)
        for mask, causal in (("none", False), ("bottom-right", True), ("top-left", "top-left")):
            for scale in (None, 0.3, 2):
                for layout in ("bshd", "bhsd"):
                    given = (q, k, v)
                    if layout == "bhsd":
                        given = [t.transpose(1, 2) for t in given]
                    out = operator(*given, softmax_scale=scale, mask=mask, layout=layout)
                    with torch.profiler.profile():  # has it go through the dispatcher
                        other = operator(*given, softmax_scale=scale, mask=mask, layout=layout)
                    assert out.equal(other) and out.stride() == other.stride()
                    assert out.equal(fms.attention(
                        *given, softmax_scale=scale, causal=causal, layout=layout))


def test_modes_see_a_call_by_name(operator):
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **kwargs or {})

    class Dispatches(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **kwargs or {})

    for mode in (Functions, Dispatches):
        seen = []
        with mode():
            operator(*tensors())
        assert operator in seen


def test_a_subclass_sees_a_call_by_name(operator):
    class Seen(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    seen = []
    q, k, v = tensors()
    assert isinstance(operator(q.as_subclass(Seen), k, v), Seen)
    assert operator in seen


def test_a_profiler_sees_every_call(fms, operator):
    q, k, v = tensors()
    with torch.profiler.profile() as profile:
        operator(q, k, v)
        fms.attention(q, k, v)
    counts = {each.key: each.count for each in profile.key_averages()}
    assert counts["flashmoe_science::attention_forward"] == 2


def test_fakes_and_transforms_see_a_call_by_name(operator):
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    q, k, v = tensors()
    with FakeTensorMode() as mode:
        assert isinstance(operator(*(mode.from_tensor(t) for t in (q, k, v))), FakeTensor)
    assert operator(*(t.to("meta") for t in (q, k, v))).is_meta
    both = torch.func.vmap(operator)(*(torch.stack([t, 2 * t]) for t in (q, k, v)))
    assert both[0].allclose(operator(q, k, v), atol=1e-6)
    traced = torch.jit.trace(lambda q: operator(q, k, v), q, check_trace=False)
    assert traced(2 * q).equal(operator(2 * q, k, v))
    negated = torch._neg_view(q)
    assert operator(negated, k, v).equal(operator(negated.resolve_neg(), k, v))


def test_tangents_are_refused_by_name(fms, operator):
    from torch.autograd import forward_ad

    q, k, v = tensors()
    with pytest.raises(fms.UnsupportedError, match="q has a tangent"):
        torch.func.jvp(lambda q: operator(q, k, v), (q,), (q,))
    with forward_ad.dual_level():
        with pytest.raises(fms.UnsupportedError, match="q has a tangent"):
            operator(forward_ad.make_dual(q, q), k, v)


def test_torchscript_finds_the_operator():
    def attend(q):
        return torch.ops.flashmoe_science.attention_forward(q, q, q)

    q = tensors()[0]
    scripted = torch.jit.script(attend)
    assert "flashmoe_science::attention_forward" in str(scripted.graph)
    assert scripted(q).equal(attend(q))


def test_graphs_have_a_call_by_name_and_take_the_short_way(operator, tmp_path):
    class Attend(torch.nn.Module):
        def forward(self, q, k, v):
            return torch.ops.flashmoe_science.attention_forward(q, k, v, mask="top-left") + 1

    given = tensors()
    expected = Attend()(*given)
    compiled = torch.compile(Attend(), fullgraph=True, backend="aot_eager")
    torch.export.save(torch.export.export(Attend(), given), tmp_path / "attend.pt2")
    exported = torch.export.load(tmp_path / "attend.pt2").module()
    for graph in (compiled, exported):
        with torch.no_grad():
            assert graph(*given).equal(expected)
            assert not dispatched(lambda graph=graph: graph(*given))


def test_what_is_no_call_of_the_operator_is_refused_as_pytorch_does(operator):
    q, k, v = tensors()
    for call in (lambda: operator(q, k), lambda: operator(q, k, v, *[None] * 7),
                 lambda: operator(q, k, v, causal=True), lambda: operator(q, k, v, mask=1),
                 lambda: operator(1, k, v), lambda: operator(q, k, v, softmax_scale="1")):
        with pytest.raises(RuntimeError, match="attention_forward"):
            call()


def test_the_callable_stands_for_the_one_it_was_made_of(fms):
    from flashmoe_science._native import native

    short = native.ShortWay(len)
    assert short((1, 2)) == 2 and hash(short) == hash(len) and short.__name__ == "len"
    with pytest.raises(TypeError):
        short()


def test_a_process_that_compiles_first_traces_each_call_once():
    """What is imported at first use is nothing that a graph depends on."""
    program = """
import torch, flashmoe_science as fms
from torch._dynamo.testing import CompileCounter
counts = CompileCounter()
compiled = [torch.compile(call, fullgraph=True, backend=counts) for call in (
    lambda q, k, v: fms.flash_attention_science(q, k, v, causal=True),
    lambda q, k, v: fms.attention(q, k, v, causal=True),
    lambda q, k, v: fms.attention(q, k, v, return_lse=True)[0])]
given = [torch.ones(1, 2, 2, 16) for _ in range(3)]
with fms.configure(policy="dynamic"):
    first = [each(*given) for each in compiled]
    again = [each(*given) for each in compiled]
    fms.flash_attention_science(*given)  # eager calls import what a graph has no need of
    fms.attention(*given, return_lse=True)
    last = [each(*given) for each in compiled]
assert all(a.equal(b) and b.equal(c) for a, b, c in zip(first, again, last))
print(counts.frame_count)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3"
