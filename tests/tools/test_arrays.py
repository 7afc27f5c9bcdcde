"""Arrays: what the program reads of NumPy's files, and computes of them where a device is."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DTYPES = ["float32", "float16", "float64", "int8", "uint8", "int16", "int32", "uint32", "int64",
          "uint64", "bool"]
TRANSPOSE = ["run", "transpose", "-p", "T=float32", "--block", "32,8"]


def attention(fms, folder, *more):
    return fms("attention", "--q", folder / "q.npy", "--k", folder / "k.npy", "--v",
               folder / "v.npy", "--out", folder / "o.npy", *more)


def save(folder, q, k, v):
    for name, array in (("q", q), ("k", k), ("v", v)):
        np.save(folder / f"{name}.npy", array)


def refused(done):
    """The message of an array that was read and refused before any device was asked for."""
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    return done.stderr


@settings(max_examples=40, deadline=None, suppress_health_check=[
    HealthCheck.function_scoped_fixture])
@given(dtype=st.sampled_from(DTYPES), shape=st.lists(st.integers(0, 4), max_size=5))
def test_whatever_numpy_saves_is_read_with_its_shape(fms, tmp_path, dtype, shape):
    # Shapes other than four-dimensional are named in the error: proof that the file was read.
    if len(shape) == 4:
        shape = shape[:3]
    array = np.zeros(shape, dtype=dtype)
    save(tmp_path, array, array, array)
    message = refused(attention(fms, tmp_path))
    expected = "x".join(map(str, shape)) if shape else "scalar"
    assert f"the shape {expected};" in message


@settings(max_examples=40, deadline=None, suppress_health_check=[
    HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_and_never_crashes(fms, tmp_path, data):
    save(tmp_path, *[np.ones((1, 2, 3, 4, 5), np.float32)] * 3)
    content = bytearray((tmp_path / "q.npy").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    (tmp_path / "q.npy").write_bytes(content)
    refused(attention(fms, tmp_path))


def test_fortran_order_is_refused_with_advice(fms, tmp_path):
    save(tmp_path, *[np.asfortranarray(np.ones((2, 3, 4, 5), np.float32))] * 3)
    assert "ascontiguousarray" in refused(attention(fms, tmp_path))


def test_uint16_needs_a_dtype(fms, tmp_path):
    save(tmp_path, *[np.zeros((1, 1, 2, 8), np.uint16)] * 3)
    assert "--dtype bf16" in refused(attention(fms, tmp_path))


@pytest.mark.parametrize("q, k, v, words", [
    ((1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 5, 8), "equal"),
    ((1, 2, 4, 8), (2, 2, 4, 8), (2, 2, 4, 8), "batch"),
    ((1, 2, 4, 8), (1, 2, 4, 16), (1, 2, 4, 16), "head_dim"),
    ((1, 3, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8), "heads"),
    ((1, 1, 4, 512), (1, 1, 4, 512), (1, 1, 4, 512), "256"),
])
def test_shapes_that_do_not_fit_are_named(fms, tmp_path, q, k, v, words):
    save(tmp_path, *(np.zeros(shape, np.float32) for shape in (q, k, v)))
    assert words in refused(attention(fms, tmp_path))


def test_types_that_do_not_fit_are_named(fms, tmp_path):
    shape = (1, 1, 4, 8)
    save(tmp_path, np.zeros(shape, np.float32), np.zeros(shape, np.float16),
         np.zeros(shape, np.float32))
    assert "float16" in refused(attention(fms, tmp_path))
    save(tmp_path, *[np.zeros(shape, np.int32)] * 3)
    assert "int32" in refused(attention(fms, tmp_path))


def test_both_causal_masks_at_once_are_bad_usage(fms, tmp_path):
    save(tmp_path, *[np.zeros((1, 1, 4, 8), np.float32)] * 3)
    assert attention(fms, tmp_path, "--causal", "--causal-top-left").returncode == 2


def test_options_that_do_not_fit_are_named(fms, tmp_path):
    save(tmp_path, *[np.zeros((1, 2, 4, 8), np.float32)] * 3)
    np.save(tmp_path / "sinks.npy", np.zeros(3, np.float32))
    message = refused(attention(fms, tmp_path, "--sinks", tmp_path / "sinks.npy"))
    assert "3 sinks, and q has 2 heads" in message
    assert attention(fms, tmp_path, "--window", "3").returncode == 2


def test_run_transposes_on_the_device(fms, tmp_path, on):
    array = np.random.default_rng(1).random((70, 50), np.float32)
    np.save(tmp_path / "a.npy", array)
    done = fms.ok(*TRANSPOSE, *on, "--grid", "2,3", "--arg", f"in:{tmp_path}/a.npy", "--arg",
                  f"out:f32:50x70:{tmp_path}/b.npy", "--arg", "i32:70", "--arg", "i32:50",
                  "--repeat", "5", "--json")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), array.T)
    assert done.json["median_ms"] > 0


def test_a_wrong_argument_count_is_refused_before_the_launch(fms, tmp_path, on):
    done = fms(*TRANSPOSE, *on, "--grid", "1", "--arg", "i32:70")
    assert done.returncode == 2 and "argument" in done.stderr


@pytest.mark.kernels
@pytest.mark.parametrize("dtype, mask", [
    ("float32", []), ("float16", ["--causal"]), ("float32", ["--causal-top-left"])])
def test_attention_is_within_its_bound(fms, tmp_path, on, dtype, mask):
    random = np.random.default_rng(2)
    save(tmp_path, random.standard_normal((2, 4, 65, 64)).astype(dtype),
         *(random.standard_normal((2, 2, 130, 64)).astype(dtype) for _ in range(2)))
    done = attention(fms, tmp_path, "--check", "--json", "--lse", tmp_path / "lse.npy", *mask, *on)
    assert done.returncode == 0, done.stderr
    assert done.json["check"]["ok"] and done.json["check_lse"]["ok"]
    assert np.load(tmp_path / "o.npy").dtype == dtype
    assert np.load(tmp_path / "lse.npy").shape == (2, 4, 65)


@pytest.mark.kernels
@pytest.mark.parametrize("options", [
    ["--window", "9,4"], ["--causal", "--window", "20,-1", "--softcap", "2.5"],
    ["--causal-top-left", "--window=7,0"]])
def test_attention_with_options_is_within_its_bound(fms, tmp_path, on, options):
    random = np.random.default_rng(3)
    save(tmp_path, random.standard_normal((1, 4, 65, 16), np.float32),
         random.standard_normal((1, 2, 70, 16), np.float32),
         random.standard_normal((1, 2, 70, 24), np.float32))
    np.save(tmp_path / "sinks.npy", np.array([0, 1, -np.inf, 5], np.float32))
    done = attention(fms, tmp_path, "--check", "--json", "--lse", tmp_path / "lse.npy", "--sinks",
                     tmp_path / "sinks.npy", *options, *on)
    assert done.returncode == 0, done.stderr
    assert done.json["check"]["ok"] and done.json["check_lse"]["ok"]
    assert np.load(tmp_path / "o.npy").shape == (1, 4, 65, 24)


@pytest.mark.kernels
def test_a_bias_broadcasts_and_is_within_its_bound(fms, tmp_path, on):
    random = np.random.default_rng(4)
    save(tmp_path, random.standard_normal((2, 4, 65, 16), np.float32),
         *(random.standard_normal((2, 2, 70, 16), np.float32) for _ in range(2)))
    common = ["--causal", "--policy", "dynamic", *on]
    assert attention(fms, tmp_path, *common).returncode == 0
    without = np.load(tmp_path / "o.npy")
    for shape in [(1, 4, 65, 70), (65, 70), (4, 1, 70), (1,)]:
        np.save(tmp_path / "bias.npy", random.standard_normal(shape).astype(np.float32))
        done = attention(fms, tmp_path, "--bias", tmp_path / "bias.npy", "--check", "--json",
                         *common)
        assert done.returncode == 0, done.stderr
        assert done.json["check"]["ok"] and "mods" in done.json["problem"]
        # It is no check of nothing: only one number for all changes nothing.
        assert (shape == (1,)) == np.allclose(np.load(tmp_path / "o.npy"), without, atol=1e-5)


@pytest.mark.kernels
def test_sequences_one_behind_the_other(fms, tmp_path, on):
    random = np.random.default_rng(5)
    lengths, key_lengths = [20, 0, 45], [30, 7, 45]
    save(tmp_path, random.standard_normal((65, 4, 16), np.float32),
         *(random.standard_normal((82, 2, 16), np.float32) for _ in range(2)))
    done = attention(fms, tmp_path, "--lengths", "20,0,45", "--key-lengths", "30,7,45", "--causal",
                     "--check", "--json", "--lse", tmp_path / "lse.npy", *on)
    assert done.returncode == 0, done.stderr
    assert done.json["check"]["ok"] and done.json["check_lse"]["ok"]
    assert done.json["check"]["all_rows"] == 4 * sum(lengths)
    packed = np.load(tmp_path / "o.npy")
    assert packed.shape == (65, 4, 16) and np.load(tmp_path / "lse.npy").shape == (4, 65)
    # The last sequence, alone.
    q, k, v = (np.load(tmp_path / f"{each}.npy")[-45:].transpose(1, 0, 2)[None] for each in "qkv")
    save(tmp_path, *(np.ascontiguousarray(each) for each in (q, k, v)))
    assert attention(fms, tmp_path, "--causal", *on).returncode == 0
    alone = np.load(tmp_path / "o.npy")[0].transpose(1, 0, 2)
    np.testing.assert_allclose(packed[-sum(key_lengths[2:]):], alone, atol=1e-5)


@pytest.mark.kernels
def test_functions_of_ones_own(fms, tmp_path, on):
    random = np.random.default_rng(6)
    save(tmp_path, *(random.standard_normal((1, 2, 40, 16), np.float32) for _ in range(3)))
    np.save(tmp_path / "slopes.npy", np.array([0.5, 0.25], np.float32))
    arguments = ["--mods-arg", f"in:{tmp_path}/slopes.npy", "--mods-arg", "i32:0"]
    assert attention(fms, tmp_path, "--mods", "alibi", *arguments, *on).returncode == 0
    named = np.load(tmp_path / "o.npy")
    (tmp_path / "mine.cuh").write_text("""struct Mods {
  int offset;  // 4 bytes, and 4 that nobody uses
  const float* slopes;
  __device__ float score(float s, int, int head, int query, int key) const {
    return s - slopes[head] * fabsf(float(query + offset - key));
  }
};""")
    done = attention(fms, tmp_path, "--mods", tmp_path / "mine.cuh", *arguments[2:],
                     *arguments[:2], *on)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), named, atol=1e-6)
    bias = -np.array([0.5, 0.25])[:, None, None] * np.abs(np.subtract.outer(range(40), range(40)))
    np.save(tmp_path / "bias.npy", bias.astype(np.float32))
    assert attention(fms, tmp_path, "--bias", tmp_path / "bias.npy", *on).returncode == 0
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), named, atol=1e-5)


@pytest.mark.parametrize("options, words", [
    (["--mods", "nobody"], "alibi"), (["--mods", "./none.cuh"], "none.cuh"),
    (["--mods", "alibi", "--mods-arg", "out:f32:1:x.npy"], "functions only read"),
    (["--mods", "alibi", "--check"], "--device cpu"), (["--lengths", "1,2"], "with --lengths"),
    (["--bias", "wide.npy"], "doesn't broadcast to 1x2x4x4"),
    (["--bias", "whole.npy"], "a bias is float32 or of the type of q"),
])
def test_functions_and_lengths_that_do_not_fit_are_named(fms, tmp_path, options, words):
    save(tmp_path, *[np.zeros((1, 2, 4, 8), np.float32)] * 3)
    np.save(tmp_path / "wide.npy", np.zeros((3, 4, 4), np.float32))
    np.save(tmp_path / "whole.npy", np.zeros((4, 4), np.int32))
    options = [str(tmp_path / each) if each.endswith(".npy") and ":" not in each else each
               for each in options]
    done = attention(fms, tmp_path, *options)
    assert done.returncode in (1, 2) and words in done.stderr, done.stderr


def test_lengths_must_come_to_the_rows(fms, tmp_path):
    save(tmp_path, *[np.zeros((6, 2, 8), np.float32)] * 3)
    assert "5 together, and it has 6 rows" in refused(attention(fms, tmp_path, "--lengths", "2,3"))
    # More than their starts could be numbers of 32 bits.
    huge = ",".join([str(1 << 30)] * 3)
    assert "3221225472 together" in refused(attention(fms, tmp_path, "--lengths", huge))
    message = refused(attention(fms, tmp_path, "--lengths", "2,4", "--key-lengths", "6"))
    assert "as many sequences" in message
