"""The benchmark measures, checks, and names what it leaves out. No time is asserted."""

import json

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cpu", "dynamic")

TINY = ["attention", "--shape", "1,2,33,16", "--rounds", "2"]


@pytest.fixture
def bench(fms):
    from flashmoe_science.bench.__main__ import main

    return main


def test_attention_as_json(bench, capsys):
    assert bench([*TINY, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    problems = {row["problem"] for row in found["rows"]}
    assert problems == {"B1 H2 N33 D16 full", "B1 H2 N33 D16 causal"}
    for row in found["rows"]:
        assert row["seconds"] > 0 and row["ratio"] > 0 and row["rate"] > 0
        assert row["error"] < 0.05, row["peer"]
    assert {"flashmoe_science", "torch math"} <= {row["peer"] for row in found["rows"]}
    assert found["machine"]["torch"] == torch.__version__ and found["machine"]["device"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_is_missing_is_named(bench, capsys):
    bench([*TINY, "--dtype", "bfloat16"])
    printed = capsys.readouterr().out
    missing = printed[printed.index("Not in this run"):]
    assert "cuDNN" in missing and "numpy" in missing


def test_launches_as_a_table(bench, capsys):
    assert bench(["jit", "--rounds", "2"]) == 0
    printed = capsys.readouterr().out
    for word in ("fms frozen handle", "keywords", "torch.add(out=)", "flash_attention_science",
                 "torch.ops.flashmoe_science", "torch SDPA", "1.00 x"):
        assert word in printed
    if not torch.cuda.is_available():
        assert "raw driver, Triton, CuPy, cuda.core: no CUDA device" in printed


def test_a_plot(bench, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert bench([*TINY, "--plot", str(tmp_path / "out.png")]) == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_plot_is_an_error(bench, capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert bench([*TINY, "--plot", str(tmp_path / "out.png")]) == 1
    assert "pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["1,2,3", "a,b,c,d", "0,1,1,1"])
def test_a_wrong_shape_is_refused(bench, capsys, shape):
    with pytest.raises(SystemExit):
        bench(["attention", "--shape", shape])
    assert "--shape" in capsys.readouterr().err
