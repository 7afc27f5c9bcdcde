"""The benchmark measures, checks, and names what it leaves out. No time is asserted."""

import itertools
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


def test_options_are_over_the_plain_kernel(bench, capsys, monkeypatch, tmp_path):
    from flashmoe_science.bench._options import OptionsBench

    cases = OptionsBench._cases
    monkeypatch.setattr(OptionsBench, "_cases", lambda *given: itertools.islice(cases(*given), 2))
    page = tmp_path / "page.md"
    assert bench([*TINY, "--options", "--json", "--markdown", str(page)]) == 0
    rows = [row for row in json.loads(capsys.readouterr().out)["rows"]
            if row["peer"] == "flashmoe_science"]
    assert [row["problem"] for row in rows] == ["D16 plain", "D16 causal"]
    plain, causal = rows
    assert plain["of_plain"] == 1
    assert causal["of_plain"] == pytest.approx(causal["rate"] / plain["rate"])
    # 33 x 34 / 2 pairs of 33 x 33 are seen.
    work = [row["rate"] * row["seconds"] for row in rows]
    assert work[1] / work[0] == pytest.approx(34 / 66)
    assert "| D16 causal |" in page.read_text()


NCU = """#!/bin/sh
case "$*" in
*--query-metrics*) echo "sm__warps_active  Counter"; echo "{known}  Counter  some words";;
*{known}.avg*) echo "==PROF== Connected"
  echo '"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"'
  echo '"0","attention_forward_sm90","x","%","71.25"'
  echo '"1","attention_forward_sm90","x","%","1,000.5"';;
*) echo "==ERROR== Failed to find metric";;
esac
"""


@pytest.fixture
def ncu(tmp_path, monkeypatch):
    def make(known):
        program = tmp_path / "ncu"
        program.write_text(NCU.replace("{known}", known))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    return make


def test_a_metric_that_the_device_has_is_asked_for(fms, ncu):
    from flashmoe_science.bench._counters import tensor_pipe

    ncu("sm__pipe_tensor_op_hmma_cycles_active")
    shapes = [(1, 1, 64, 64, False)] * 2
    found = tensor_pipe(shapes, "bfloat16")
    assert found.values == [71.25, 1000.5] and not found.missing
    assert found.metric == "sm__pipe_tensor_op_hmma_cycles_active"
    # The last of those that are tried, and one launch too few.
    ncu("sm__inst_executed_pipe_tensor")
    assert tensor_pipe(shapes, "bfloat16").metric == "sm__inst_executed_pipe_tensor"
    assert "2 of 1 launches" in tensor_pipe(shapes[:1], "bfloat16").missing


def test_a_metric_that_nothing_has_is_named_and_no_failure(fms, ncu):
    from flashmoe_science.bench._counters import tensor_pipe

    ncu("sm__something_else")
    found = tensor_pipe([(1, 1, 64, 64, False)], "bfloat16")
    assert found.values == [] and found.missing == "Failed to find metric"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_is_missing_is_named(bench, capsys):
    bench([*TINY, "--dtype", "bfloat16"])
    printed = capsys.readouterr().out
    missing = printed[printed.index("Not in this run"):]
    assert "cuDNN" in missing and "numpy" in missing


def test_launches_as_a_table(bench, capsys):
    assert bench(["jit", "--rounds", "2", "--processes", "0", "--commit", "abc123"]) == 0
    printed = capsys.readouterr().out
    for word in ("raw driver launch, C++", "fms frozen handle", "keywords", "torch.add(out=)",
                 "flash_attention_science", "torch.ops.flashmoe_science", "torch SDPA", "1.00 x",
                 "commit abc123"):
        assert word in printed
    aims = printed[printed.index("Aims"):]
    for aim in ("raw + 1.0 us", "raw + 3 us", "0.5 x SDPA", "raw + 4 us"):
        assert aim in aims
    if not torch.cuda.is_available():
        assert "Triton, CuPy, cuda.core: no CUDA device" in printed
        assert aims.count("(for a GPU)") == 4


def test_aims_are_of_the_rows_of_the_run(bench, capsys):
    assert bench(["jit", "--rounds", "2", "--processes", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    seconds = {row["peer"]: row["seconds"] for row in found["rows"]}
    raw, sdpa = seconds["raw driver launch, C++"], seconds["torch SDPA"]
    most = {aim["text"]: aim["most"] for aim in found["aims"]}
    assert most["raw + 1.0 us"] == raw + 1e-6 and most["0.5 x SDPA"] == sdpa / 2
    first = [row for row in found["rows"] if row["problem"].startswith("first call")]
    assert [row["peer"] for row in first][1:] == [
        "import flashmoe_science, after PyTorch", "jit() and launch", "flash_attention_science"]
    assert all(row["seconds"] > 0 for row in first)
    assert "3 ms over CUDA's start" in most and "50 ms" in most


def test_json_goes_to_a_file_beside_the_text(bench, capsys, tmp_path):
    file = tmp_path / "out.json"
    assert bench([*TINY, "--json", str(file)]) == 0
    assert "of 2; x: over ours" in capsys.readouterr().out
    assert json.loads(file.read_text())["rows"]


def test_a_process_that_fails_is_named(bench, capsys, monkeypatch, fms):
    from flashmoe_science.bench import _first_call, first_call

    monkeypatch.setattr(first_call, "__file__", "/no/such/file.py")
    missing = {}
    assert _first_call.measure("cpu", 1, missing) == []
    assert "can't open file" in missing["first call in a new process, warm store: jit() and launch"]


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
