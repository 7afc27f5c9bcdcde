"""Attention on drawn shapes, strides, types and options, against double precision."""

import attention_reference
import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

pytestmark = pytest.mark.usefixtures("dynamic")

# A compile on the CPU takes seconds: what is compiled in is drawn from few values, and what isn't
# from many. Head dims of keys and of values, and types.
KINDS = [(16, 16, "float32"), (12, 20, "float16")]
GPU_KINDS = [(*dims, dtype) for dtype in ("float32", "float16") for dims in
             ((16, 16), (12, 20), (72, 40))]  # the last ends within what is copied at once
MODS = """
struct Mods {
  float step; int period;
  float score(float s, int b, int h, int q, int k) const {
    return s + step * float((b + 2 * h + q + 3 * k) % period);
  }
  bool mask(int b, int h, int q, int k) const { return (q + k + h) % 3 != 0; }
};
"""
ROUNDOFF = {"float32": 2.0**-24, "float16": 2.0**-11}


@st.composite
def calls(draw, kinds):
    """Arrays in the order (batch, heads, seq, dim), how they lie, and the options."""
    kv_heads = draw(st.integers(1, 3))
    dim, value_dim, dtype = draw(st.sampled_from(kinds))
    batch = draw(st.integers(1, 3))
    seq_q, seq_k = draw(st.integers(0, 90)), draw(st.integers(0, 90))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))

    def array(heads, seq, columns):
        order = draw(st.permutations((0, 1, 2)))  # in memory
        gap = draw(st.sampled_from((0, 0, 4, 5, 8)))
        shape = np.array((batch, heads, seq))[list(order)]
        memory = random.standard_normal((*shape, columns + gap)).astype(dtype)
        memory[..., columns:] = np.nan
        return memory[..., :columns].transpose(*np.argsort(order), 3)

    heads = 2 * kv_heads
    options, expected = {}, {}
    kind = draw(st.sampled_from(["plain", "window", "softcap", "sinks", "bias", "mods"]))
    causal = draw(st.sampled_from([False, True]))
    if kind == "window":
        expected["window"] = options["window_size"] = draw(
            st.tuples(st.integers(0, 40), st.integers(-1, 40)))
    elif kind == "softcap":
        expected["softcap"] = options["softcap"] = draw(st.floats(0.5, 60))
    elif kind == "sinks":
        sinks = draw(st.lists(st.floats(-20, 20, width=32) | st.just(-np.inf), min_size=heads,
                              max_size=heads))
        expected["sinks"] = options["sinks"] = np.array(sinks, np.float32)
    elif kind == "bias":
        shape = [draw(st.sampled_from((1, n))) for n in (batch, heads, seq_q, seq_k)]
        expected["bias"] = options["bias"] = random.standard_normal(shape).astype(np.float32)
    elif kind == "mods":
        options["mods"] = {"step": draw(st.sampled_from((0.25, -1.0))), "period": 5}
        expected["score"] = lambda s, b, h, q, k: (
            s + options["fields"]["step"] * ((b + 2 * h + q + 3 * k) % 5))
        expected["mask"] = lambda b, h, q, k: (q + k + h) % 3 != 0
        options["fields"] = options["mods"]
    return (array(heads, seq_q, dim), array(kv_heads, seq_k, dim),
            array(kv_heads, seq_k, value_dim), {"causal": causal, **options},
            {"causal": causal, **expected}, dtype)


def check(fms, call, move=lambda x: x, back=np.asarray):
    q, k, v, options, expected, dtype = call
    options = {name: move(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}
    if "fields" in options:
        options["mods"] = fms.mods(MODS, **options.pop("fields"))
    out, lse = fms.attention(*map(move, (q, k, v)), layout="bhsd", return_lse=True, **options)
    wanted, wanted_lse = attention_reference.attention(q, k, v, **expected)
    # Scores are off by their sum's error, and so, relatively, are weights; the result is rounded.
    largest = float(max((np.abs(x).max() for x in (q, k) if x.size), default=1.0))
    score_error = 2.0**-24 * (q.shape[3] * largest**2 + 60)
    size = float(np.abs(v).max()) if v.size else 1.0
    bound = size * (4 * score_error + 3 * ROUNDOFF[dtype]) + 1e-6
    np.testing.assert_allclose(back(out).astype(np.float64), wanted, rtol=0, atol=bound)
    np.testing.assert_allclose(back(lse), wanted_lse, rtol=1e-6, atol=4 * score_error + 1e-6)


@pytest.mark.usefixtures("cpu")
@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(call=calls(KINDS))
def test_on_the_cpu(fms, call):
    check(fms, call)


@pytest.fixture
def torch(nvrtc):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch


@settings(max_examples=300, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(call=calls(GPU_KINDS))
def test_on_a_gpu(fms, torch, call):
    def move(x):
        base = x  # whose copy the strides are for
        while base.base is not None:
            base = base.base
        strides = [stride // x.itemsize for stride in x.strides]
        return torch.from_numpy(base).cuda().as_strided(x.shape, strides)

    check(fms, call, move, lambda x: x.cpu().numpy())
