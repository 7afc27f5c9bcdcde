"""fms demo and fms bench, as far as this machine goes."""

import json

import pytest


@pytest.mark.kernels
def test_the_demo_runs_on_the_best_target_present(fms, has_device, has_llvm):
    done = fms.ok("demo", "-j", "2")
    if has_device or has_llvm:
        assert "launched" in done.stdout and "WRONG" not in done.stdout
        assert "6 compiled" in done.stdout, "the first round"
        assert "0 compiled" in done.stdout, "the second round"
        assert ("run on the CPU" in done.stdout) != has_device
    else:
        assert "Nothing was launched" in done.stdout
    assert not (fms.cache / "kernels.db").exists(), "a store of its own"


@pytest.mark.kernels
def test_with_nothing_to_run_on_the_demo_compiles_for_two_gpus(fms, has_device):
    if has_device:
        pytest.skip("a device is here")
    done = fms.ok("demo", "-j", "2", env={"FMS_LLVM": "/nonexistent"})
    assert "Nothing was launched" in done.stdout and "WITH_LLVM=1" in done.stdout
    assert "sm_80" in done.stdout and "sm_90a" in done.stdout


@pytest.mark.kernels
def test_the_bench_measures_what_it_can_here(fms, tmp_path, has_device, has_llvm):
    figures, table = tmp_path / "bench.json", tmp_path / "speed.md"
    done = fms("bench", "--quick", "--json", figures, "--markdown", table)
    # A busy machine may be over a limit: the figures count, not the verdict.
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(figures.read_text())["rows"]
    assert len(rows) == 13
    notes = [row["note"] for row in rows if row["skipped"]]
    assert notes.count("needs a GPU") == (0 if has_device else 4)
    assert notes.count("needs the LLVM library") == (0 if has_llvm else 6)
    one_compile = next(row for row in rows if row["what"].startswith("16 processes"))
    assert one_compile["measured"] == 1
    assert table.read_text().startswith("# Speed")
    assert not list(fms.cache.glob("bench-*")), "the scratch folder is gone"
