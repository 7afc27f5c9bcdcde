"""The options of attention, on the CPU: against double precision, and against PyTorch."""

import math
import pathlib

import attention_reference
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("cpu", "dynamic")

ALIBI = """
struct Mods {
  const float* slopes;
  __device__ float score(float score, int batch, int head, int query, int key) const {
    return score + slopes[head] * float(key - query);
  }
};
"""
SLOPES = np.array([1, 0.5, 0.25, 0.125], np.float32)


def rand(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def arrays(seq_q=20, seq_k=30, dim=16, value_dim=16):
    """q, k and v in the order (batch, heads, seq, dim)."""
    return rand(2, 4, seq_q, dim), rand(2, 2, seq_k, dim, seed=1), (
        rand(2, 2, seq_k, value_dim, seed=2))


def assert_close(got, expected):
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=0, atol=4e-6)


def check(fms, q, k, v, options, **expected):
    out, lse = fms.attention(q, k, v, layout="bhsd", return_lse=True, **options)
    expected_out, expected_lse = attention_reference.attention(q, k, v, **expected)
    assert_close(out, expected_out)
    assert_close(lse, expected_lse)
    assert fms.supports(q, k, v, layout="bhsd", **options)


@pytest.mark.parametrize("causal", [False, True, "top-left"])
@pytest.mark.parametrize("window", [(5, 3), (0, 0), (-1, 4), (6, -1)])
def test_windows_are_as_flash_attention_has_them(fms, causal, window):
    for seq_q, seq_k in ((20, 30), (30, 12)):
        check(fms, *arrays(seq_q, seq_k), {"causal": causal, "window_size": window},
              causal=causal, window=window)


def test_scores_are_capped(fms):
    check(fms, *arrays(), {"softcap": 1.5, "causal": True}, softcap=1.5, causal=True)


def test_sinks_take_part_in_the_sum(fms):
    sinks = np.array([0.5, -np.inf, 3, -2], np.float32)
    check(fms, *arrays(), {"sinks": sinks}, sinks=sinks)
    q, k, v = arrays(seq_k=0)
    out, lse = fms.attention(q, k, v, sinks=sinks, layout="bhsd", return_lse=True)
    assert (out == 0).all() and (lse == sinks[None, :, None]).all()


def test_values_may_have_another_dim(fms):
    for layout, axes in {"bhsd": (0, 1, 2, 3), "bshd": (0, 2, 1, 3), "sbhd": (2, 0, 1, 3)}.items():
        q, k, v = arrays(value_dim=24)
        out = fms.attention(*(x.transpose(axes) for x in (q, k, v)), layout=layout)
        assert_close(out.transpose(np.argsort(axes)), attention_reference.attention(q, k, v)[0])


@pytest.mark.parametrize("shape", [(2, 4, 20, 30), (4, 1, 30), (20, 1), (), (2, 1, 1, 30)])
def test_a_bias_broadcasts_over_any_dimension(fms, shape):
    bias = rand(*shape)
    check(fms, *arrays(), {"bias": bias}, bias=bias)
    turned = np.asfortranarray(bias)  # any strides do
    check(fms, *arrays(), {"bias": turned, "causal": True}, bias=bias, causal=True)


def test_a_bias_of_minus_infinity_hides_keys(fms):
    q, k, v = arrays()
    hidden = rand(20, 30) > 0
    hidden[3] = True  # all of them
    bias = np.where(hidden, -np.inf, 0).astype(np.float32)
    check(fms, q, k, v, {"bias": bias}, bias=bias)


def test_a_bias_of_qs_own_type(fms):
    q, k, v = (x.astype(np.float16) for x in arrays())
    bias = rand(4, 20, 30).astype(np.float16)
    out = fms.attention(q, k, v, bias=bias, layout="bhsd")
    expected, _ = attention_reference.attention(q, k, v, bias=bias)
    np.testing.assert_allclose(out.astype(np.float64), expected, rtol=0, atol=2e-3)


def test_a_score_function_of_ones_own(fms):
    mods = fms.mods(ALIBI, slopes=SLOPES)
    check(fms, *arrays(), {"mods": mods, "causal": True}, causal=True,
          score=lambda s, b, h, q, k: s + SLOPES[h] * (k - q))


def test_a_mask_function_of_ones_own_and_its_block_table(fms):
    q, k, v = arrays(seq_q=200, seq_k=200)
    documents = np.sort(np.random.default_rng(0).integers(0, 4, (2, 200)), axis=1).astype(np.int32)
    mods = fms.mods("documents", documents=documents, batch_stride=200)

    def mask(b, h, q, k):
        return documents[b, q] == documents[b, k]

    check(fms, q, k, v, {"mods": mods, "causal": True}, causal=True, mask=mask)
    table = fms.block_table(q, k, v, mods=mods, causal=True, per_head=False, layout="bhsd")
    check(fms, q, k, v, {"mods": mods, "causal": True, "block_table": table}, causal=True,
          mask=mask)
    assert table.visits().shape == (2, 1, 4)
    without = fms.attention(q, k, v, mods=mods, causal=True, layout="bhsd")
    with_it = fms.attention(q, k, v, mods=mods, causal=True, block_table=table, layout="bhsd")
    assert (without == with_it).all()
    with pytest.raises(fms.InvalidArgumentError, match="it is for 200 queries"):
        fms.attention(q[:, :, :99], k, v, mods=mods, causal=True, block_table=table, layout="bhsd")


def test_functions_may_come_from_a_file_with_includes(fms, tmp_path):
    (tmp_path / "slope.cuh").write_text("constexpr float kSlope = 0.25f;\n")
    (tmp_path / "mine.cuh").write_text(
        '#include "slope.cuh"\n'
        "struct Mods {\n"
        "  // int gone;\n"
        "  const float* __restrict__ base; unsigned int n, m;\n"
        "  static constexpr int kNone = 0;\n"
        "  float score(float s, int, int, int q, int k) const { return s + at(q) * kSlope; }\n"
        "  float at(int q) const { return q % 2 == 0 ? base[0] : float(n - m); }\n"
        "};\n")
    mods = fms.mods(tmp_path / "mine.cuh", base=np.ones(1, np.float32), n=9, m=4)
    check(fms, *arrays(), {"mods": mods},
          score=lambda s, b, h, q, k: s + np.where(q % 2 == 0, 1, 5) * 0.25)


def test_sequences_lie_packed(fms):
    lengths_q, lengths_k = (5, 0, 33, 1), (9, 4, 33, 70)
    starts_q, starts_k = (np.cumsum((0, *n)).astype(np.int32) for n in (lengths_q, lengths_k))
    q, k, v = rand(39, 4, 16), rand(116, 2, 16, seed=1), rand(116, 2, 24, seed=2)
    for options in ({}, {"causal": True}, {"window_size": (7, 2)}):
        out, lse = fms.attention(q, k, v, cu_seqlens_q=starts_q, cu_seqlens_k=starts_k,
                                 return_lse=True, **options)
        assert out.shape == (39, 4, 24) and lse.shape == (4, 39)
        for i in range(4):
            rows, keys = (slice(*n[i : i + 2]) for n in (starts_q, starts_k))
            expected, expected_lse = attention_reference.attention(
                *(x[None].transpose(0, 2, 1, 3) for x in (q[rows], k[keys], v[keys])),
                causal=options.get("causal", False), window=options.get("window_size", (-1, -1)))
            assert_close(out[rows], expected[0].transpose(1, 0, 2))
            assert_close(lse[:, rows], expected_lse[0])
    same = fms.attention(q, q[:, :2], q[:, :2], cu_seqlens_q=starts_q, causal=True)
    again = fms.attention(q, q[:, :2], q[:, :2], cu_seqlens_q=starts_q, cu_seqlens_k=starts_q,
                          max_seqlen_q=33, max_seqlen_k=50, causal=True)
    assert (same == again).all()
    assert fms.supports(q, k, v, cu_seqlens_q=starts_q, cu_seqlens_k=starts_k)


@pytest.mark.parametrize("options, text", [
    ({"softcap": -1.0}, "softcap is -1"), ({"softcap": math.nan}, "softcap is nan"),
    ({"window_size": 4}, "window_size is 4"), ({"window_size": (-2, 0)}, "window_size"),
    ({"sinks": np.zeros(3, np.float32)}, "sinks"), ({"sinks": np.zeros(4)}, "sinks"),
    ({"bias": np.zeros((3, 30), np.float32)}, "bias is of shape"),
    ({"bias": np.zeros((20, 30))}, "bias is of float64"),
    ({"mods": ALIBI}, "make it by"), ({"cu_seqlens_k": np.zeros(3, np.int32)}, "without"),
    ({"cu_seqlens_q": np.zeros(3, np.int32)}, "dimensions"),
])
def test_options_that_are_wrong_are_named(fms, options, text):
    q, k, v = arrays()
    with pytest.raises(fms.InvalidArgumentError, match=text):
        fms.attention(q, k, v, layout="bhsd", **options)
    support = fms.supports(q, k, v, layout="bhsd", **options)
    assert not support and text in support.reason or "sinks" in support.reason


@pytest.mark.parametrize("source, fields, text", [
    ("struct Mod {\n};", {}, "declares no struct Mods"),
    (ALIBI, {}, "has a member 'slopes'"), (ALIBI, {"slopes": SLOPES, "n": 1}, "no member 'n'"),
    (ALIBI, {"slopes": SLOPES.astype(np.float64)}, "pointer to float, and the array is of float64"),
    ("struct Mods {\n int n;\n};", {"n": 1.5}, "n is a int, and 1.5 isn't one"),
    ("struct Mods {\n int n;\n};", {"n": 1 << 40}, "n is a int"),
    ("struct Mods {\n float4 n;\n};", {"n": 1}, "member n of struct Mods in mods.cuh is a float4"),
    ("struct Mods {\n float n[3];\n};", {"n": 1}, "can't tell what member"),
    ("nothing", {}, "no functions of attention are named nothing; there are alibi, bias"),
])
def test_mods_that_are_wrong_are_named(fms, source, fields, text):
    with pytest.raises(fms.Error, match=text):
        fms.mods(source, **fields)


def test_what_the_compiler_says_points_to_the_python_file(fms):
    q, k, v = arrays()
    mods = fms.mods("""
        struct Mods {
          bool mask(int, int, int query, int key) const { return query >= kye; }
        };
    """)
    with pytest.raises(fms.CompileError, match="kye") as caught:
        fms.attention(q, k, v, mods=mods, layout="bhsd")
    line = pathlib.Path(__file__).read_text().splitlines().index(
        "          bool mask(int, int, int query, int key) const { return query >= kye; }") + 1
    assert f"{pathlib.Path(__file__).name}:{line}" in caught.value.message


def test_functions_are_recorded_and_warmed(fms, tmp_path, empty_store):
    manifest = tmp_path / "attention.jsonl"
    q, k, v = arrays()
    mods = fms.mods(ALIBI, slopes=SLOPES)
    with fms.record(manifest):
        fms.attention(q, k, v, mods=mods, window_size=(3, 3), layout="bhsd")
    text = manifest.read_text()
    assert "file:mods.cuh" in text and '"mask":"window"' in text
    with fms.configure(cache_dir=tmp_path / "other"):
        fms.warm(manifest)
        with fms.offline():
            fms.attention(q, k, v, mods=mods, window_size=(3, 3), layout="bhsd")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def tensors(torch):
    return [torch.from_numpy(x) for x in arrays(seq_k=20)]


class TestWithPyTorch:
    """The same on PyTorch's tensors."""

    def test_a_bias_is_sdpas_mask(self, fms, torch, tensors):
        q, k, v = tensors
        sdpa = torch.nn.functional.scaled_dot_product_attention
        bias = torch.from_numpy(rand(2, 1, 20, 20))
        expected = sdpa(*(x.double() for x in (q, k, v)), attn_mask=bias.double(), enable_gqa=True)
        assert_close(fms.attention(q, k, v, bias=bias, layout="bhsd"), expected.numpy())

    def test_functions_are_flex_attentions(self, fms, torch, tensors):
        flex = pytest.importorskip("torch.nn.attention.flex_attention")
        q, k, v = tensors
        slopes = torch.from_numpy(SLOPES)

        def score(score, batch, head, query, key):
            return score + slopes[head] * (key - query)

        def mask(batch, head, query, key):
            return (query - key).abs() <= 7

        expected = flex.flex_attention(
            *(x.double() for x in (q, k, v)), score_mod=score, enable_gqa=True,
            block_mask=flex.create_block_mask(mask, None, None, 20, 20, device="cpu"))
        mods = fms.mods(ALIBI.replace("};\n", """
          __device__ bool mask(int, int, int query, int key) const { return abs(query - key) <= 7; }
        };\n"""), slopes=slopes)
        assert_close(fms.attention(q, k, v, mods=mods, layout="bhsd"), expected.numpy())

    @pytest.mark.parametrize("which", ["options", "mods", "table", "packed"])
    def test_compiled_graphs_are_whole_and_the_same(self, fms, torch, tensors, which):
        q, k, v = (x.transpose(1, 2).contiguous() for x in tensors)
        options = {"causal": True, "return_lse": True}
        if which == "options":
            options.update(window_size=(5, 0), softcap=3.0, sinks=torch.from_numpy(SLOPES),
                           bias=torch.from_numpy(rand(4, 20, 20)))
        elif which in ("mods", "table"):
            options["mods"] = fms.mods(
                "documents", documents=torch.arange(20, dtype=torch.int32) // 6, batch_stride=0)
            if which == "table":
                options["block_table"] = fms.block_table(
                    q, k, v, mods=options["mods"], causal=True)
        else:
            q, k, v = (x.flatten(0, 1) for x in (q, k, v))
            options.update(cu_seqlens_q=torch.tensor([0, 9, 40], dtype=torch.int32),
                           max_seqlen_q=31, max_seqlen_k=31)
        model = torch.compile(lambda q, k, v: fms.attention(q, k, v, **options), fullgraph=True,
                              backend="aot_eager")
        for a, b in zip(model(q, k, v), fms.attention(q, k, v, **options)):
            assert a.equal(b) and a.stride() == b.stride()

    def test_the_operator_keeps_pytorchs_rules_with_options(self, fms, torch, tensors):
        import flashmoe_science.torch

        q, k, v = tensors
        sinks, bias = torch.from_numpy(SLOPES), torch.from_numpy(rand(20, 20))
        torch.library.opcheck(
            flashmoe_science.torch.attention_forward_lse, (q, k, v, sinks, bias),
            {"layout": "bhsd", "mask": "window", "window_left": 4, "softcap": 2.0})

    def test_gradients_of_options_are_refused(self, fms, torch, tensors):
        sinks = torch.from_numpy(SLOPES).requires_grad_()
        with pytest.raises(fms.UnsupportedError, match="sinks requires a gradient"):
            fms.attention(*tensors, sinks=sinks, layout="bhsd")
        with torch.no_grad():
            fms.attention(*tensors, sinks=sinks, layout="bhsd")
