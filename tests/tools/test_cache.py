"""fms cache: the store seen and changed from outside."""

import shutil
import sqlite3

import pytest


@pytest.fixture
def filled(fms, warm_store):
    shutil.copytree(warm_store, fms.cache)
    return fms


def test_stats_have_the_promised_fields(fms):
    stats = fms.ok("cache", "stats", "--json").json
    for name in ("entries", "bytes", "hits", "misses", "compiles", "failures", "corrupt_removed"):
        assert isinstance(stats[name], int), name
    assert "entries" in fms.ok("cache", "stats").stdout


def test_list_is_filtered_by_template_and_target(filled):
    assert len(filled.ok("cache", "list", "--json").json) == 6
    saxpy = filled.ok("cache", "list", "--template", "saxpy", "--target", "sm_80", "--json").json
    assert len(saxpy) == 2
    assert {entry["template"] for entry in saxpy} == {"saxpy"}
    assert {entry["target"] for entry in saxpy} == {"cuda:sm_80"}
    assert filled.ok("cache", "list", "--template", "none").stdout == "no kernels\n"


def test_why_shows_the_key_and_how_the_nearest_entry_differs(filled):
    entries = filled.ok("cache", "list", "--template", "transpose", "--json").json
    why = filled.ok("cache", "why", entries[0]["key"][:16], "--json").json
    assert why["key"] == entries[0]["key"]
    assert why["nearest"]["key"] == entries[1]["key"]
    labels = {difference["label"] for difference in why["nearest"]["differs"]}
    assert "target" in labels
    assert "differs in" in filled.ok("cache", "why", entries[0]["key"][:16]).stdout


def test_why_of_no_entry_is_bad_usage(filled):
    done = filled("cache", "why", "0000000000000000")
    assert done.returncode == 2 and "0000000000000000" in done.stderr


def test_verify_finds_a_flipped_byte_and_removes_the_record(filled):
    assert filled.ok("cache", "verify", "--json").json == {
        "checked": 6, "corrupt": 0, "messages": []}
    flip_one_byte(filled.cache / "kernels.db")
    done = filled("cache", "verify", "--json")
    assert done.returncode == 1 and done.json["corrupt"] == 1
    stats = filled.ok("cache", "stats", "--json").json
    assert (stats["entries"], stats["corrupt_removed"]) == (5, 1)


def flip_one_byte(database):
    """Changes the last byte of the largest blob of the first table that has one."""
    with sqlite3.connect(database) as connection:
        tables = [row[0] for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in connection.execute(f"PRAGMA table_info('{table}')").fetchall():
                row = connection.execute(
                    f"SELECT rowid, \"{column[1]}\" FROM \"{table}\" WHERE "
                    f"typeof(\"{column[1]}\") = 'blob' AND length(\"{column[1]}\") > 1000"
                ).fetchone()
                if row:
                    changed = row[1][:-1] + bytes([row[1][-1] ^ 1])
                    connection.execute(
                        f"UPDATE \"{table}\" SET \"{column[1]}\" = ? WHERE rowid = ?",
                        (changed, row[0]))
                    return
    raise AssertionError("no blob found")


def test_gc_evicts_down_to_the_limit(filled):
    report = filled.ok("cache", "gc", "--max-bytes", "1K", "--json").json
    assert report["ran"] and report["evicted"] > 0
    assert filled.ok("cache", "stats", "--json").json["bytes"] <= 1024
    assert filled.ok("cache", "gc", "--max-bytes", "1G", "--json").json["evicted"] == 0


def test_clear_empties_the_store(filled, manifest):
    assert filled.ok("cache", "clear", "--yes", "--json").json["removed"] == 6
    assert filled.ok("cache", "stats", "--json").json["entries"] == 0
    assert filled("verify", manifest, "--target", "sm_80").returncode == 1


def test_a_bundle_carries_kernels_to_another_store(filled, manifest, tmp_path):
    bundle = tmp_path / "kernels.bundle"
    assert filled.ok("cache", "export", bundle, "--json").json["exported"] == 6
    other = filled.with_cache(tmp_path / "other")
    assert other.ok("cache", "import", bundle, "--json").json == {
        "added": 6, "present": 0, "host_code_skipped": 0}
    other.ok("verify", manifest, "--target", "sm_80", "--target", "sm_90a")
    assert other.ok("cache", "import", bundle, "--json").json["present"] == 6


def test_a_bundle_may_hold_a_selection(filled, tmp_path):
    bundle = tmp_path / "some.bundle"
    done = filled.ok(
        "cache", "export", bundle, "--target", "sm_80", "--template", "saxpy", "--json")
    assert done.json["exported"] == 2


def test_a_damaged_bundle_adds_nothing(filled, tmp_path):
    bundle = tmp_path / "kernels.bundle"
    filled.ok("cache", "export", bundle)
    flip_one_byte(bundle)
    other = filled.with_cache(tmp_path / "other")
    done = other("cache", "import", bundle)
    assert done.returncode == 1 and done.stderr.startswith("fms: can't")
    assert other.ok("cache", "stats", "--json").json["entries"] == 0
    bundle.write_bytes(b"not a bundle at all")
    assert other("cache", "import", bundle).returncode in (1, 2)


def test_a_bundle_serves_as_a_read_only_tier(filled, manifest, tmp_path):
    bundle = tmp_path / "kernels.bundle"
    filled.ok("cache", "export", bundle)
    own = tmp_path / "own"
    tiers = f"{own}:{bundle}"
    filled.ok("verify", manifest, "--target", "sm_80", "--cache-dir", tiers)
    listed = filled.ok("cache", "list", "--json", "--cache-dir", tiers).json
    assert {entry["tier"] for entry in listed} == {str(bundle)}


def test_a_folder_that_cannot_be_a_store_is_refused_with_a_reason(fms, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    done = fms("cache", "stats", "--cache-dir", link)
    assert done.returncode != 0 and "symbolic link" in done.stderr
