"""The CPU target through every command: compiled, stored, carried about and run."""

import pathlib
import re

import numpy as np
import pytest

SAXPY = ["saxpy", "-p", "kN=4096", "--target", "cpu"]
LOOSE = 'extern "C" __global__ void loose(float* x) { x[threadIdx.x] = 1; }\n'

pytestmark = pytest.mark.usefixtures("llvm")


def test_doctor_shows_the_library_and_the_cpu(fms, llvm):
    assert llvm["version"].startswith("19.") and llvm["library"].endswith("libfms_llvm.so")
    cpu = fms.ok("doctor", "--json").json["cpu"]
    assert cpu["target"].startswith("cpu:x86-64-v") and cpu["cores"] >= 1
    text = fms.ok("doctor").stdout
    assert llvm["host_cpu"] in text and cpu["target"] in text


def test_object_code_is_elf_and_the_second_time_from_the_store(fms, tmp_path):
    first = fms.ok("compile", *SAXPY, "--emit", "resources", "--json").json
    assert first["origin"] == "compiled" and first["format"] == "elf"
    assert [p["size"] for p in first["parameters"]] == [8, 8, 4, 4]
    assert first["max_threads"] == 256
    second = fms.ok("compile", *SAXPY, "--emit", "resources", "--json").json
    assert second["origin"] == "store" and second["key"] == first["key"]
    fms.ok("compile", *SAXPY, "-o", tmp_path / "saxpy.o")
    assert (tmp_path / "saxpy.o").read_bytes().startswith(b"\x7fELF")
    assert fms.ok("cache", "stats", "--json").json["compiles"] == 1


def test_what_is_in_the_store_needs_no_llvm(fms):
    key = fms.ok("compile", *SAXPY, "--emit", "resources", "--json").json["key"]
    absent = {"FMS_LLVM": "/nonexistent"}
    again = fms.ok("compile", *SAXPY, "--emit", "resources", "--json", env=absent).json
    assert (again["origin"], again["key"]) == ("store", key)
    missing = fms("compile", "gemm", "--target", "cpu", env=absent)
    assert missing.returncode == 3
    assert "WITH_LLVM=1" in missing.stderr and "/nonexistent" in missing.stderr


@pytest.mark.parametrize("kind, words", [
    ("llvm-ir", "define"), ("regions", "define"), ("asm", ".text"), ("source", "kN"),
])
def test_every_stage_can_be_seen(shared_fms, kind, words):
    assert words in shared_fms.ok("compile", *SAXPY, "--emit", kind).stdout


@pytest.mark.parametrize("kind", ["ptx", "cubin", "sass"])
def test_what_only_a_gpu_has_is_refused_with_what_there_is(shared_fms, kind):
    done = shared_fms("compile", *SAXPY, "--emit", kind)
    assert done.returncode == 2
    assert kind in done.stderr and "llvm-ir" in done.stderr


def test_names_of_the_cpu_are_targets_with_keys_of_their_own(shared_fms):
    key = {name: shared_fms.ok("compile", "saxpy", "--target", name, "--emit", "key").stdout
           for name in ("cpu", "cpu:native", "cpu:x86-64-v2", "cpu:x86-64-v3", "cpu:znver4")}
    assert key["cpu"] == key["cpu:native"]
    assert len({key[name] for name in ("cpu:x86-64-v2", "cpu:x86-64-v3", "cpu:znver4")}) == 3
    done = shared_fms("compile", "saxpy", "--target", "cpu:z80")
    assert done.returncode != 0 and "z80" in done.stderr


def test_a_compile_error_shows_the_line(fms, tmp_path):
    file = tmp_path / "broken.cu"
    file.write_text('extern "C" __global__ void broken(float* x) { x[0] = no_such_name; }\n')
    done = fms("compile", file, "--target", "cpu")
    assert done.returncode == 1 and "no_such_name" in done.stderr
    assert fms("compile", file, "--target", "cpu").returncode == 1
    assert fms.ok("cache", "stats", "--json").json["failed_entries"] == 1


def run_saxpy(fms, folder, *options, n=4096, env=None):
    x, y = np.arange(n, dtype=np.float32), np.ones(n, np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    done = fms("run", "saxpy", "--grid", (n + 255) // 256, "--block", "256", "--arg",
               f"in:{folder}/x.npy", "--arg", f"inout:{folder}/y.npy", "--arg", "f32:2", "--arg",
               f"i32:{n}", "--json", *options, env=env)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(folder / "y.npy"), 2 * x + y)
    return done.json


def test_run_computes_on_the_cpu(fms, tmp_path):
    report = run_saxpy(fms, tmp_path, "--device", "cpu", "--repeat", "3")
    assert report["target"].startswith("cpu:") and report["median_ms"] > 0


def test_the_environment_may_name_the_target(fms, tmp_path):
    report = run_saxpy(fms, tmp_path, env={"FMS_TARGET": "cpu:x86-64-v2"})
    assert report["target"] == "cpu:x86-64-v2"


def test_without_a_gpu_the_cpu_is_the_default(fms, tmp_path, has_device):
    if has_device:
        pytest.skip("a device is here")
    assert run_saxpy(fms, tmp_path)["target"].startswith("cpu:")
    assert fms.ok("compile", "saxpy", "--emit", "key", "--json").json["target"].startswith("cpu:")


@pytest.mark.parametrize("sanitizers", ["address", "undefined", "thread", "address,undefined"])
def test_a_sanitized_kernel_computes_the_same(fms, tmp_path, sanitizers):
    run_saxpy(fms, tmp_path, "--sanitize", sanitizers)


def test_the_address_sanitizer_names_the_kernel_that_writes_too_far(fms, tmp_path):
    (tmp_path / "loose.cu").write_text(LOOSE)
    done = fms("run", tmp_path / "loose.cu", "--sanitize", "address", "--grid", "1", "--block",
               "64", "--arg", f"out:f32:32:{tmp_path}/x.npy")
    assert done.returncode == 1, done.stderr
    assert "loose" in done.stderr and "32" in done.stderr
    assert not (tmp_path / "x.npy").exists()


def test_the_readmes_fault_is_found_and_said_as_it_says(fms, tmp_path):
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    found = re.search(r"<!-- fault -->\n```cuda\n(.*?)```\n\n```\n\$ fms (.*?)\n(?=fms:).*?"
                      r"(out-of-bounds.*?)```", readme, re.DOTALL)
    kernel, command, message = found.groups()
    (tmp_path / "shift.cu").write_text(kernel)
    np.save(tmp_path / "x.npy", np.ones(256, np.float32))
    done = fms(*command.replace("\\\n", "").split(), cwd=tmp_path)
    assert done.returncode == 1
    assert " ".join(message.split()) in " ".join(done.stderr.split())


def test_sanitizers_are_refused_for_a_gpu(fms):
    done = fms("compile", "saxpy", "--target", "sm_80", env={"FMS_SANITIZE": "address"})
    assert done.returncode == 2 and "CPU" in done.stderr


def test_warm_and_verify_take_both_kinds_of_targets(fms, manifest):
    targets = ["--target", "cpu,sm_80"]
    before = fms("verify", manifest, *targets, "--json")
    assert before.returncode == 1 and len(before.json["missing"]) == 6
    warmed = fms.ok("warm", manifest, *targets, "-j", "2", "--json").json
    assert (warmed["compiled"], warmed["failed"]) == (6, 0)
    assert fms.ok("verify", manifest, *targets, "--json").json["complete"]
    fms.ok("verify", manifest, *targets, env={"FMS_LLVM": "/nonexistent"})
    listed = fms.ok("cache", "list", "--target", "cpu", "--json").json
    assert len(listed) == 3 and {entry["format"] for entry in listed} == {"elf"}


@pytest.mark.kernels
def test_operations_of_a_manifest_are_planned_for_the_cpu(fms, tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"op": "attention", "dtype": "f32", "batch": 1, "heads": 2, "seq_q": 4, '
                        '"seq_k": 64, "head_dim": 32, "causal": false}\n')
    assert fms.ok("warm", manifest, "--target", "cpu", "--json").json["failed"] == 0


def test_a_bundle_brings_code_for_a_cpu_only_to_who_trusts_it(fms, manifest, tmp_path):
    fms.ok("warm", manifest, "--target", "cpu,sm_80")
    bundle = tmp_path / "kernels.bundle"
    fms.ok("cache", "export", bundle)
    other = fms.with_cache(tmp_path / "other")
    done = other.ok("cache", "import", bundle, "--json")
    assert done.json == {"added": 3, "present": 0, "host_code_skipped": 3}
    assert "--trust-host-code" in done.stderr
    assert other("verify", manifest, "--target", "cpu").returncode == 1
    other.ok("verify", manifest, "--target", "sm_80")
    done = other.ok("cache", "import", bundle, "--trust-host-code", "--json")
    assert done.json == {"added": 3, "present": 3, "host_code_skipped": 0}
    other.ok("verify", manifest, "--target", "cpu")


def test_a_tier_that_others_may_write_serves_no_code_for_a_cpu(fms, manifest, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    tier = shared / "tier"
    fms.with_cache(tier).ok("warm", manifest, "--target", "cpu,sm_80")
    tiers = f"{fms.cache}:{tier}"
    fms.ok("verify", manifest, "--target", "cpu", "--cache-dir", tiers)
    shared.chmod(0o777)
    assert fms("verify", manifest, "--target", "cpu", "--cache-dir", tiers).returncode == 1
    fms.ok("verify", manifest, "--target", "sm_80", "--cache-dir", tiers)
    done = fms.ok("compile", *SAXPY, "--emit", "resources", "--json", "--cache-dir", tiers)
    assert done.json["origin"] == "compiled"
    assert "may be written by others" in done.stderr and str(shared) in done.stderr
