"""What the program says when this machine lacks something."""

import pytest


def test_no_nvrtc_is_exit_code_3_with_advice(fms):
    done = fms("compile", "saxpy", "--target", "sm_80", env={"FMS_NVRTC": "/nonexistent"})
    assert done.returncode == 3, done.stderr
    assert "NVRTC" in done.stderr and "/nonexistent" in done.stderr


def test_doctor_without_nvrtc_says_so_and_goes_on(fms):
    done = fms("doctor", "--json", env={"FMS_NVRTC": "/nonexistent", "FMS_LLVM": "/nonexistent"})
    assert done.returncode == 3, "neither compiler"
    assert not done.json["nvrtc"]["found"] and done.json["templates"]
    assert not done.json["llvm"]["found"] and not done.json["cpu"]["found"]
    assert "not found" in fms("doctor", env={"FMS_NVRTC": "/nonexistent"}).stdout


def test_what_is_in_the_store_needs_no_nvrtc(fms, manifest):
    fms.ok("warm", manifest, "--target", "sm_80")
    absent = {"FMS_NVRTC": "/nonexistent"}
    fms.ok("verify", manifest, "--target", "sm_80", env=absent)
    resources = fms.ok("compile", "saxpy", "-p", "kN=4096", "--target", "sm_80", "--emit",
                       "resources", "--json", env=absent).json
    assert resources["origin"] == "store"
    missing = fms("compile", "gemm", "--target", "sm_80", env=absent)
    assert missing.returncode == 3


def test_an_offline_miss_names_the_kernel(fms):
    done = fms("compile", "saxpy", "-p", "kN=4096", "--target", "sm_80", env={"FMS_OFFLINE": "1"})
    assert done.returncode == 1
    assert "saxpy<" in done.stderr and "4096" in done.stderr
    assert fms.ok("cache", "stats", "--json").json["compiles"] == 0


def test_offline_serves_what_was_warmed(fms, manifest):
    fms.ok("warm", manifest, "--target", "sm_80")
    fms.ok("compile", "saxpy", "-p", "kN=4096", "--target", "sm_80", "--emit", "resources",
           env={"FMS_OFFLINE": "1"})


def test_running_without_a_driver_is_exit_code_3(fms, has_device):
    if has_device:
        pytest.skip("a device is here")
    arguments = ["run", "saxpy", "--grid", "1", "--block", "256", "--arg", "i32:1"]
    done = fms(*arguments, env={"FMS_LLVM": "/nonexistent"})
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("fms: can't ") and "WITH_LLVM=1" in done.stderr
    assert fms(*arguments, "--device", "0").returncode == 3, "what was asked for, or nothing"


def test_no_store_still_compiles(fms, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    done = fms.ok("compile", "saxpy", "--target", "sm_80", "--emit", "resources", "--json",
                  "--cache-dir", file / "store")
    assert done.json["origin"] == "compiled"
    assert fms("warm", "llama-3.1-8b", "--target", "sm_80", "--cache-dir",
               file / "store").returncode == 1


def test_dumped_files_show_what_was_compiled(fms, tmp_path):
    dump = tmp_path / "dump"
    fms.ok("compile", "saxpy", "--target", "sm_80", "--emit", "resources",
           env={"FMS_DUMP_DIR": str(dump)})
    assert any("saxpy" in file.read_text() for file in dump.rglob("*.cu"))
