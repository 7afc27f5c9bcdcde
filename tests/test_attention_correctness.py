"""Attention against PyTorch: on the GPU where there is one, and else on the CPU."""

import importlib.util
import math
import pathlib

import pytest

# The package, and the store that its tests share, are found as in tests/python.
_spec = importlib.util.spec_from_file_location(
    "fms_python_conftest", pathlib.Path(__file__).parent / "python" / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
if _shared.missing:
    pytest.skip(_shared.missing, allow_module_level=True)
torch = pytest.importorskip("torch")

environment, fms, cpu, nvrtc = _shared.environment, _shared.fms, _shared.cpu, _shared.nvrtc
# Each is a kernel of its own for each type and mask, and a compile of seconds on the CPU.
HEAD_DIMS = [40, 64, 96, 128, 256] if torch.cuda.is_available() else [40, 64]
DTYPES = ["float16", "bfloat16", "float32"]


@pytest.fixture(scope="module")
def device(request, fms):
    has_gpu = torch.cuda.is_available()
    request.getfixturevalue("nvrtc" if has_gpu else "cpu")
    # On the CPU a compile takes seconds: one kernel for all lengths. On a GPU, each length's own.
    with fms.configure(policy="exact" if has_gpu else "dynamic"):
        yield "cuda" if has_gpu else "cpu"


def exact(q, k, v, causal=False):
    """In double precision, on the inputs as they were rounded."""
    return torch.nn.functional.scaled_dot_product_attention(
        *(each.double() for each in (q, k, v)), is_causal=causal)


def error_of(out, expected):
    return (out.double() - expected).abs().max().item()


class TestFlashAttentionCorrectness:
    @pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
    @pytest.mark.parametrize("head_dim", HEAD_DIMS)
    @pytest.mark.parametrize("seq", [1, 63, 64, 65, 113, 257])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_forward_vs_pytorch(self, fms, device, dtype, seq, head_dim, causal):
        """At most twice PyTorch's error in the same type, and two roundings of the result."""
        if device == "cpu" and causal and head_dim != HEAD_DIMS[0]:
            pytest.skip("one head dim is enough for the mask on the CPU")
        dtype = getattr(torch, dtype)
        torch.manual_seed(seq * head_dim)
        q, k, v = (torch.randn(1, 2, seq, head_dim, device=device).to(dtype) for _ in range(3))
        out = fms.flash_attention_science(q, k, v, causal=causal)
        assert (out.shape, out.dtype, out.device) == (q.shape, q.dtype, q.device)
        expected = exact(q, k, v, causal)
        theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        roundings = 2 * torch.finfo(dtype).eps * expected.abs().max().item()
        assert error_of(out, expected) <= 2 * error_of(theirs, expected) + roundings

    @pytest.mark.parametrize("head_dim", HEAD_DIMS)
    @pytest.mark.parametrize("seq", [65, 128])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_numerical_stability(self, fms, device, dtype, seq, head_dim):
        """Scores of thousands, equal ones, and ones far from zero give what they should."""
        dtype = getattr(torch, dtype)
        torch.manual_seed(seq)
        q, k, v = (torch.randn(1, 2, seq, head_dim, device=device).to(dtype) for _ in range(3))

        # exp(score) overflows: the largest must be subtracted. Scores are sums of head_dim products
        # in fp32 (a weight is off by that sum's error, on both sides), and weights below 1 are
        # rounded to the type before they meet v.
        out = fms.flash_attention_science(30 * q, 30 * k, v)
        expected = exact(30 * q, 30 * k, v)
        sums = (30 * q).double().abs() @ (30 * k).double().abs().transpose(-1, -2)
        score_error = sums.max().item() / math.sqrt(head_dim) * head_dim * 2**-24
        bound = (2 * score_error + 4 * torch.finfo(dtype).eps) * v.abs().max().item()
        assert out.isfinite().all()
        assert error_of(out, expected) <= bound

        # All keys alike: the mean of v.
        alike = k[:, :, :1].expand_as(k)
        out = fms.flash_attention_science(q, alike, v)
        mean = v.double().mean(dim=2, keepdim=True).expand_as(v)
        assert error_of(out, mean) <= 4 * torch.finfo(dtype).eps * v.abs().max().item()

        # A number added to every score of a row changes nothing: here as far as the type goes.
        ones = torch.ones_like(v)
        for sign in (1, -1):
            out = fms.flash_attention_science(
                torch.full_like(q, 50), sign * torch.full_like(k, 50), ones)
            assert error_of(out, ones.double()) <= 2 * torch.finfo(dtype).eps
