"""What a call of attention is refused for, before a kernel would read what it should not."""

import numpy as np
import pytest

WRONG_STARTS = [
    ([1, 5, 10], "begins with 1, and must begin with 0"),
    ([0, 6, 5, 10], "falls from 6 to 5, at 2"),
    ([0, 5], "ends with 5, and must end with 10"),
    ([0, 5, 11], "ends with 11"),
]


def packed(rows=10):
    return np.ones((rows, 2, 16), np.float32)


@pytest.mark.usefixtures("cpu", "dynamic")
@pytest.mark.parametrize("starts, text", WRONG_STARTS)
@pytest.mark.parametrize("longest", [{}, {"max_seqlen_q": 10, "max_seqlen_k": 10}], ids=str)
def test_packed_sequences_follow_each_other_on_the_cpu(fms, starts, text, longest):
    x, starts = packed(), np.array(starts, np.int32)
    with pytest.raises(fms.InvalidArgumentError, match=f"cu_seqlens_q {text}"):
        fms.attention(x, x, x, cu_seqlens_q=starts, **longest)
    right = np.linspace(0, 10, len(starts)).astype(np.int32)
    with pytest.raises(fms.InvalidArgumentError, match=f"cu_seqlens_k {text}"):
        fms.attention(x, x, x, cu_seqlens_q=right, cu_seqlens_k=starts, **longest)


@pytest.mark.usefixtures("cpu", "dynamic")
def test_the_operator_of_pytorch_looks_too(fms):
    torch = pytest.importorskip("torch")
    x = torch.ones(10, 2, 16)
    from flashmoe_science._torch_operators import attention_forward

    with pytest.raises(fms.InvalidArgumentError, match="ends with 5"):
        attention_forward(
            x, x, x, cu_seqlens_q=torch.tensor([0, 5], dtype=torch.int32),
            cu_seqlens_k=torch.tensor([0, 10], dtype=torch.int32), max_seqlen_q=10,
            max_seqlen_k=10)


class Remote:
    """A framework that counts how often the device is waited for."""

    waited = 0

    def numbers(self, array):
        self.waited += 1
        return array.tolist()


def test_on_a_gpu_they_are_looked_at_where_the_call_waits_anyway(fms):
    from flashmoe_science import _attention_checks

    remote, x = Remote(), packed()
    right, wrong = np.array([0, 3, 10], np.int32), np.array([0, 3, 11], np.int32)
    assert _attention_checks.longest_of(remote, "q", right, x, None) == 7
    with pytest.raises(fms.InvalidArgumentError, match="ends with 11"):
        _attention_checks.longest_of(remote, "q", wrong, x, None)
    assert remote.waited == 2
    assert _attention_checks.longest_of(remote, "q", wrong, x, 7) == 7
    assert remote.waited == 2
    with fms.configure(sanitize="address"):
        with pytest.raises(fms.InvalidArgumentError, match="ends with 11"):
            _attention_checks.longest_of(remote, "q", wrong, x, 7)
        assert _attention_checks.longest_of(remote, "q", right, x, 8) == 8


@pytest.mark.parametrize("causal", [1, None, [True], 0.0])
def test_a_causal_of_another_type_is_a_type_error(fms, causal):
    x = packed()[None]
    with pytest.raises(TypeError, match=f"causal is of type '{type(causal).__name__}'; it may be"):
        fms.attention(x, x, x, causal=causal)
    with pytest.raises(ValueError, match="causal is 'upper'; it may be"):
        fms.attention(x, x, x, causal="upper")


def test_an_array_of_mods_is_of_qs_framework(fms):
    torch = pytest.importorskip("torch")
    x = torch.ones(1, 10, 2, 16)
    mods = fms.mods("alibi", slopes=np.ones(2, np.float32), offset=0)
    with pytest.raises(fms.InvalidArgumentError, match="an array of mods is of another framework"):
        fms.attention(x, x, x, mods=mods)


@pytest.mark.parametrize("name, value, text", [
    ("causal", [True], "causal is of type 'list'"), ("causal", "upper", "causal is 'upper'"),
    ("softcap", -1.0, "softcap is -1.0"), ("window_size", 3, "window_size is 3"),
])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_wrong_is_said_under_torch_compile(fms, name, value, text, whole):
    """Dynamo says in its own error what a whole graph has raised; else the eager call raises."""
    torch = pytest.importorskip("torch")
    torch._dynamo.reset()  # it makes a symbol of what changes from test to test
    x = torch.ones(1, 10, 2, 16)
    model = torch.compile(lambda x: fms.attention(x, x, x, **{name: value}), fullgraph=whole,
                          backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported if whole else fms.Error) as caught:
        model(x)
    assert text in str(caught.value).replace("\\'", "'")


def test_a_tensor_for_causal_is_said_under_torch_compile(fms):
    torch = pytest.importorskip("torch")
    x = torch.ones(1, 10, 2, 16)
    model = torch.compile(lambda x, causal: fms.attention(x, x, x, causal=causal), fullgraph=True,
                          backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match="causal is of type .*Tensor"):
        model(x, torch.tensor(True))


def test_lengths_can_not_be_found_under_torch_compile(fms):
    torch = pytest.importorskip("torch")
    x, starts = torch.ones(10, 2, 16), torch.tensor([0, 10], dtype=torch.int32)
    model = torch.compile(lambda x, starts: fms.attention(x, x, x, cu_seqlens_q=starts),
                          fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match="pass max_seqlen_q and max_seqlen_k"):
        model(x, starts)


@pytest.mark.usefixtures("cpu", "dynamic")
def test_numbers_may_change_from_call_to_call_under_torch_compile(fms):
    """Dynamo makes symbols of them at the second one."""
    torch = pytest.importorskip("torch")
    x = torch.linspace(-1, 1, 320).reshape(1, 10, 2, 16)
    model = torch.compile(
        lambda x, softcap, scale: fms.attention(x, x, x, softcap=softcap, softmax_scale=scale),
        fullgraph=True, backend="aot_eager")
    for softcap, scale in ((2.0, 0.1), (3.0, 0.2), (4.0, 0.3)):
        expected = fms.attention(x, x, x, softcap=softcap, softmax_scale=scale)
        assert model(x, softcap, scale).equal(expected)
