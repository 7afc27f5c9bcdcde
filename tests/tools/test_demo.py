"""fms demo and fms bench, as far as this machine goes."""

import json


def test_the_demo_runs_on_the_best_target_present(fms, has_device):
    done = fms.ok("demo", "-j", "2")
    if has_device:
        assert "launched" in done.stdout and "WRONG" not in done.stdout
        assert "0 compiled" in done.stdout, "the second round"
    else:
        assert "Nothing was launched" in done.stdout
        assert "sm_80" in done.stdout and "sm_90a" in done.stdout
    assert not (fms.cache / "kernels.db").exists(), "a store of its own"


def test_the_bench_measures_what_it_can_here(fms, tmp_path, has_device):
    figures, table = tmp_path / "bench.json", tmp_path / "speed.md"
    done = fms("bench", "--quick", "--json", figures, "--markdown", table)
    # A busy machine may be over a limit: the figures count, not the verdict.
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(figures.read_text())["rows"]
    assert len(rows) == 7
    skipped = [row for row in rows if row["skipped"]]
    assert len(skipped) == (0 if has_device else 4)
    assert all(row["note"] == "needs a GPU" for row in skipped)
    one_compile = next(row for row in rows if row["what"].startswith("16 processes"))
    assert one_compile["measured"] == 1
    assert table.read_text().startswith("# Speed")
    assert not list(fms.cache.glob("bench-*")), "the scratch folder is gone"
