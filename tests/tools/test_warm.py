"""fms warm and fms verify."""

import signal
import subprocess
import time

TARGETS = ["--target", "sm_80", "--target", "sm_90a"]


def test_verify_fails_before_warm_and_passes_after(fms, manifest):
    before = fms("verify", manifest, *TARGETS, "--json")
    assert before.returncode == 1
    assert len(before.json["missing"]) == 6 and not before.json["complete"]
    warmed = fms.ok("warm", manifest, *TARGETS, "-j", "2", "--json").json
    assert warmed["kernels"] == 6 and warmed["compiled"] == 6 and warmed["failed"] == 0
    assert fms.ok("verify", manifest, *TARGETS, "--json").json["complete"]
    assert fms("verify", manifest, "--target", "sm_75").returncode == 1, "another target"


def test_verify_lists_what_would_compile(fms, manifest):
    done = fms("verify", manifest, "--target", "sm_80")
    assert done.returncode == 1
    assert "saxpy<" in done.stdout and "transpose<" in done.stdout
    assert "fms warm" in done.stderr


def test_the_second_warm_compiles_nothing(fms, manifest):
    fms.ok("warm", manifest, "--target", "sm_80", "-j", "1")
    again = fms.ok("warm", manifest, "--target", "sm_80", "--json").json
    assert (again["compiled"], again["already_there"]) == (0, 3)
    assert fms.ok("cache", "stats", "--json").json["compiles"] == 3


def test_targets_may_be_a_list(fms, manifest):
    assert fms.ok("warm", manifest, "--target", "sm_80,sm_90a", "--json").json["kernels"] == 6


def test_the_target_may_come_from_the_environment(fms, manifest):
    warmed = fms.ok("warm", manifest, "--json", env={"FMS_TARGET": "sm_80"}).json
    assert warmed["compiled"] == 3
    fms.ok("verify", manifest, "--target", "sm_80")


def test_included_manifests_are_listed_and_found_by_name(fms):
    names = {entry["name"] for entry in fms.ok("warm", "--list", "--json").json}
    assert {"llama-3.1-8b", "mixtral-8x7b", "qwen3-30b-a3b"} <= names
    done = fms("verify", "llama-3.1-8b", "--target", "sm_90a", "--json")
    assert done.returncode == 1 and done.json["kernels"] > 0
    assert fms("verify", "no-such-model", "--target", "sm_90a").returncode == 2


def test_templates_of_a_manifest_are_found_beside_it(fms, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mine.cu").write_text('extern "C" __global__ void mine(float* x) { x[0] = 1; }\n')
    (folder / "m.jsonl").write_text('{"template": "mine.cu", "parameters": {}}\n')
    assert fms.ok("warm", folder / "m.jsonl", "--target", "sm_80", "--json").json["compiled"] == 1
    fms.ok("verify", "m.jsonl", "--target", "sm_80", cwd=folder)


def test_one_kernel_that_fails_stops_no_other(fms, tmp_path):
    (tmp_path / "broken.cu").write_text(
        'extern "C" __global__ void broken(float* x) { x[0] = no_such_name; }\n')
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"template": "broken.cu", "parameters": {}}\n'
                        '{"template": "saxpy", "parameters": {}}\n')
    done = fms("warm", manifest, "--target", "sm_80", "--json")
    assert done.returncode == 1
    assert (done.json["compiled"], done.json["failed"]) == (1, 1)
    assert "no_such_name" in done.json["failures"][0]["message"]
    assert "broken" in done.stderr


def test_a_manifest_that_does_not_parse_names_its_line(fms, tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"template": "saxpy", "parameters": {}}\n{"template": 3}\n')
    done = fms("warm", manifest, "--target", "sm_80")
    assert done.returncode == 2 and "line 2" in done.stderr
    manifest.write_text('\n{"template": "saxpy", "parameters": {"kBlock": 33}}\n')
    done = fms("verify", manifest, "--target", "sm_80")
    assert done.returncode == 2 and "line 2" in done.stderr and "kBlock" in done.stderr


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(fms, tmp_path):
    manifest = tmp_path / "many.jsonl"
    manifest.write_text("".join(
        f'{{"template": "gemm", "parameters": {{"kM": {n}}}}}\n' for n in range(1, 20)))
    command = ["warm", manifest, "--target", "sm_80", "-j", "2"]
    process = subprocess.Popen(
        fms.command(*command), env=fms.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        stats = fms("cache", "stats", "--json")
        if stats.returncode == 0 and stats.json["entries"] > 0:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "kept" in errors
    kept = fms.ok("cache", "stats", "--json").json["entries"]
    assert 0 < kept < 20
    assert fms.ok("cache", "verify", "--json").json["corrupt"] == 0
    assert fms.ok(*command, "--json").json["already_there"] >= kept


def test_a_recorded_run_is_a_manifest(fms, tmp_path):
    record = tmp_path / "recorded.jsonl"
    fms.ok("compile", "saxpy", "-p", "kN=77", "--target", "sm_80", "--emit", "resources",
           env={"FMS_RECORD": str(record)})
    assert "saxpy" in record.read_text()
    fms.ok("warm", record, "--target", "sm_80")
    fms.ok("verify", record, "--target", "sm_80")
