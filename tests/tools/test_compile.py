"""fms compile: what each --emit gives, and what fails."""

import pytest

ARGUMENTS = ["compile", "saxpy", "-p", "kN=4096", "--target", "sm_90a"]
BROKEN = 'extern "C" __global__ void broken(float* x) { x[0] = no_such_name; }\n'


def test_source_names_its_values_and_needs_no_target(shared_fms):
    source = shared_fms.ok("compile", "saxpy", "-p", "kBlock=128", "--emit", "source").stdout
    assert "kBlock" in source and "128" in source
    assert "examples/saxpy.cuh" in source


def test_ptx_is_text_for_the_target(shared_fms):
    ptx = shared_fms.ok(*ARGUMENTS, "--emit", "ptx").stdout
    assert ".target sm_90a" in ptx
    assert ".entry saxpy" in ptx


def test_cubin_is_an_elf_file(shared_fms, tmp_path):
    file = tmp_path / "saxpy.cubin"
    shared_fms.ok(*ARGUMENTS, "-o", file)
    assert file.read_bytes().startswith(b"\x7fELF")
    piped = shared_fms(*ARGUMENTS, "--emit", "cubin", text=False)
    assert piped.stdout == file.read_bytes()


def test_resources_count_the_parameters(shared_fms):
    resources = shared_fms.ok(*ARGUMENTS, "--emit", "resources", "--json").json
    assert [p["size"] for p in resources["parameters"]] == [8, 8, 4, 4]
    assert resources["registers"] > 0
    assert resources["spill_stores"] == 0
    assert resources["max_threads"] == 256
    assert resources["target"] == "cuda:sm_90a"
    text = shared_fms.ok(*ARGUMENTS, "--emit", "resources").stdout
    assert "registers a thread" in text


def test_key_differs_by_value_and_target_and_repeats(shared_fms):
    keys = [shared_fms.ok("compile", "saxpy", *rest, "--emit", "key").stdout.strip() for rest in (
        ["--target", "sm_90a"], ["--target", "sm_90"], ["--target", "sm_90a", "-p", "kBlock=128"],
        ["--target", "sm_90a"])]
    assert all(len(key) == 64 for key in keys)
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


def test_key_is_explained_with_json(shared_fms):
    key = shared_fms.ok(*ARGUMENTS, "--emit", "key", "--json").json
    labels = {field["label"] for field in key["fields"]}
    assert {"compiler", "target", "entry", "source", "format"} <= labels


def test_sass_is_disassembled_or_the_missing_program_is_named(shared_fms):
    done = shared_fms(*ARGUMENTS, "--emit", "sass")
    if done.returncode == 0:
        assert "EXIT" in done.stdout
    else:
        assert done.returncode == 3
        assert "nvdisasm" in done.stderr and "CUDA_HOME" in done.stderr


def test_sass_uses_the_disassembler_of_the_path(fms, tmp_path):
    tool = tmp_path / "bin" / "nvdisasm"
    tool.parent.mkdir()
    # Shows the first bytes of what it is given: the ELF mark.
    tool.write_text('#!/bin/sh\nhead -c 4 "$1" | tail -c 3\n')
    tool.chmod(0o755)
    path = f"{tool.parent}:{fms.environment['PATH']}"
    assert fms.ok(*ARGUMENTS, "--emit", "sass", env={"PATH": path}).stdout == "ELF"
    tool.write_text("#!/bin/sh\nexit 7\n")
    failed = fms(*ARGUMENTS, "--emit", "sass", env={"PATH": path})
    assert failed.returncode == 1 and "exit code 7" in failed.stderr


@pytest.mark.parametrize("target", ["sm_75", "sm_80", "sm_90", "sm_90a", "sm_100a", "sm_120"])
def test_every_supported_architecture_compiles_without_a_gpu(shared_fms, target):
    resources = shared_fms.ok(
        "compile", "block_reduce", "--target", target, "--emit", "resources", "--json").json
    assert resources["registers"] > 0


def test_the_second_compile_is_from_the_store(fms):
    first = fms.ok(*ARGUMENTS, "--emit", "resources", "--json").json
    second = fms.ok(*ARGUMENTS, "--emit", "resources", "--json").json
    assert (first["origin"], second["origin"]) == ("compiled", "store")
    assert first["key"] == second["key"]
    stats = fms.ok("cache", "stats", "--json").json
    assert (stats["entries"], stats["compiles"], stats["hits"]) == (1, 1, 1)


def test_a_file_with_includes_compiles(fms, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "scale.cuh").write_text("constexpr float kScale = 3.0f;\n")
    file = tmp_path / "mine.cu"
    file.write_text('#include "scale.cuh"\n'
                    'extern "C" __global__ void one(float* x) { x[0] *= kScale; }\n'
                    'extern "C" __global__ void two(float* x, int n) { x[n] *= kScale; }\n')
    arguments = ["compile", file, "--target", "sm_80", "--include", tmp_path / "inner"]
    resources = fms.ok(*arguments, "--entry", "two", "--emit", "resources", "--json").json
    assert len(resources["parameters"]) == 2
    before = fms.ok(*arguments, "--entry", "one", "--emit", "key").stdout
    (tmp_path / "inner" / "scale.cuh").write_text("constexpr float kScale = 4.0f;\n")
    assert fms.ok(*arguments, "--entry", "one", "--emit", "key").stdout != before
    assert fms(*arguments, "--emit", "source").returncode == 2, "two kernels and no --entry"


def test_a_compile_error_shows_the_line_and_is_exit_code_1(fms, tmp_path):
    file = tmp_path / "broken.cu"
    file.write_text(BROKEN)
    done = fms("compile", file, "--target", "sm_80")
    assert done.returncode == 1
    assert done.stderr.startswith("fms: can't compile")
    assert "no_such_name" in done.stderr and "sm_80" in done.stderr
    again = fms("compile", file, "--target", "sm_80")
    assert again.returncode == 1 and "no_such_name" in again.stderr
    assert fms.ok("cache", "stats", "--json").json["failed_entries"] == 1


def test_no_target_anywhere_is_named(fms, has_device):
    if has_device:
        pytest.skip("the device here is the target")
    done = fms("compile", "saxpy", "--emit", "ptx", env={"FMS_LLVM": "/nonexistent"})
    assert done.returncode == 2 and "--target" in done.stderr and "WITH_LLVM=1" in done.stderr
    fms.ok("compile", "saxpy", "--emit", "ptx", env={"FMS_TARGET": "sm_80"})
