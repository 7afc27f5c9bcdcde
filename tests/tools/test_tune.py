"""fms tune: what would be tried, what is kept, and what can't be done."""

import json
import sqlite3

import pytest

PROBLEM = {"op": "attention", "dtype": "bf16", "batch": 4, "heads": 8, "seq_q": 2048, "seq_k": 2048,
           "head_dim": 64}  # fmt: skip


def line(**changes):
    return json.dumps({**PROBLEM, **changes})


def test_candidates_need_no_device_and_say_why_others_are_pruned(fms):
    found = fms.ok("tune", line(), "--candidates", "--target", "sm_90a", "--json").json
    assert len(found) == 1 and "kHeadDim=64" in found[0]["class"]
    tiles = found[0]["candidates"]
    assert tiles[0]["pruned"] == "" and "kBlockN=" in tiles[0]["tile"]
    reasons = {tile["pruned"].split()[0] for tile in tiles if tile["pruned"]}
    assert len(reasons) > 1
    text = fms.ok("tune", line(), "--candidates", "--target", "sm_90a").stdout
    assert "worth a compile" in text and tiles[0]["tile"] in text


def test_lengths_batch_and_heads_share_a_class_and_masks_do_not(fms, tmp_path):
    file = tmp_path / "shapes.jsonl"
    file.write_text("\n".join([
        line(), line(seq_q=4096, seq_k=4096), line(batch=1, heads=16), line(causal=True),
        '{"template": "saxpy", "parameters": {}}', line(seq_k=0),
    ]))  # fmt: skip
    found = fms.ok("tune", file, "--candidates", "--target", "sm_90a", "--json").json
    assert len(found) == 2


def test_nothing_is_listed_and_cleared_where_nothing_is_tuned(fms):
    assert fms.ok("tune", "--list").stdout == "nothing is tuned\n"
    assert fms.ok("tune", "--list", "--json").json == []
    assert fms.ok("tune", "--clear", "--yes", "--json").json == {"removed": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give a MANIFEST, --list or --clear"),
        (("no-such-file", "--candidates", "--target", "sm_90a"), "no-such-file"),
        (('{"template": "saxpy", "parameters": {}}', "--candidates", "--target", "sm_90a"),
         "there is no attention to tune"),
        (("{", "--candidates", "--target", "sm_90a"), "not valid JSON"),
        (("--list", "--clear"), "--clear"),
        ((line(), "--target", "sm_90a"), "--candidates"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(fms, arguments, words):
    done = fms("tune", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.kernels
def test_what_is_tuned_on_a_cpu_is_listed_and_not_tuned_again(fms, llvm):
    small = line(dtype="f32", batch=1, heads=1, seq_q=40, seq_k=40, head_dim=16)
    arguments = ("tune", small, "--device", "cpu", "--most", "1", "--json")
    tuned = fms.ok(*arguments).json
    assert tuned["already_tuned"] == 0 and len(tuned["tuned"]) == 1
    evidence = tuned["tuned"][0]["evidence"]
    assert evidence["best"] == tuned["tuned"][0]["tile"]
    assert evidence["candidates"][0]["outcome"] == "measured"
    assert fms.ok(*arguments).json == {"already_tuned": 1, "tuned": [], "failures": []}
    listed = fms.ok("tune", "--list", "--json").json
    assert [each["tile"] for each in listed] == [tuned["tuned"][0]["tile"]]
    # What lost isn't kept: only the winner's variant for all lengths.
    with sqlite3.connect(fms.cache / "kernels.db") as database:
        assert database.execute("SELECT count(*) FROM kernel").fetchone() == (1,)
    assert fms.ok("tune", "--clear", "--yes", "--json").json == {"removed": 1}
    assert fms.ok(*arguments).json["already_tuned"] == 0
