"""fms inspect: what is counted, what the code takes, what is said where something is missing."""

import re

import pytest

GLOBAL = "global"
GEMM = ["gemm", "-p", "kM=256", "-p", "kN=192", "-p", "kK=320"]
NO_LLVM = {"FMS_LLVM": "/nonexistent"}
NO_NVRTC = {"FMS_NVRTC": "/nonexistent"}
BROKEN = 'extern "C" __global__ void broken(float* x) { x[0] = no_such_name; }\n'
COUNTS = {"flops", "flops16", "flops32", "flops64", "special", "integer", "loaded_bytes",
          "stored_bytes", "atomics", "barriers", "warp_operations", "branches"}
SPACES = {"global", "shared", "local", "argument"}
CLASSES = {"tensor", "fp32_fma", "fp32", "fp64", "fp16", "special", "integer", "conversion",
           "global_load", "global_store", "shared_load", "shared_store", "local_load",
           "local_store", "constant_load", "async_copy", "atomic", "barrier", "warp", "branch",
           "move", "other"}


def inspect(fms, *arguments, **options):
    return fms.ok("inspect", *arguments, "--json", **options).json


@pytest.mark.usefixtures("llvm")
def test_saxpy_is_two_operations_on_twelve_bytes(shared_fms):
    found = inspect(shared_fms, "saxpy", "-p", "kN=1048576", "--grid", "4096", "--target", "sm_80")
    thread, block, launch = (found["counts"][key] for key in ("thread", "block", "launch"))
    assert (thread["flops"], thread["flops32"]) == (2, 2)
    assert (thread["loaded_bytes"][GLOBAL], thread["stored_bytes"][GLOBAL]) == (8, 4)
    assert found["counts"]["intensity"] == pytest.approx(2 / 12)
    assert block["flops"] == 512 and launch["flops"] == 2 * 1048576
    assert launch["loaded_bytes"][GLOBAL] == 8 * 1048576
    assert found["launch"]["threads_per_block"] == 256 and found["launch"]["blocks"] == 4096
    assert found["counts"]["loops"] == [] and found["counts"]["all_known"]


@pytest.mark.usefixtures("llvm")
def test_gemm_of_exact_sizes_is_counted_exactly(shared_fms):
    found = inspect(shared_fms, *GEMM, "--grid", "3,4", "--target", "cpu")
    counts = found["counts"]
    assert counts["launch"]["flops32"] == 2 * 256 * 192 * 320
    assert counts["launch"]["stored_bytes"][GLOBAL] == 4 * 256 * 192
    assert counts["block"]["barriers"] == 2 * 320 / 16, "once for all threads"
    assert counts["launch"]["barriers"] == 12 * 2 * 320 / 16
    assert counts["loops"][0]["trips"] == 20 and counts["loops"][0]["known"]
    assert counts["loops"][0]["file"] == "examples/gemm.cuh" and counts["loops"][0]["line"] > 0
    assert counts["loops"][1]["depth"] == 2


@pytest.mark.usefixtures("llvm")
def test_operations_of_a_warp_count_once_for_it(shared_fms):
    found = inspect(shared_fms, "block_reduce", "-p", "kN=65536", "--grid", "16", "--target", "cpu")
    assert found["counts"]["block"]["warp_operations"] == 8 * 5 + 5


@pytest.mark.kernels
@pytest.mark.usefixtures("llvm")
def test_attention_does_two_products_for_each_round(shared_fms):
    arguments = ["attention_forward_simt", "-p", "kHeadDim=64", "-p", "T=float32", "--target",
                 "cpu"]
    flops = {trips: inspect(shared_fms, *arguments, "--assume-trips", trips)["counts"]["block"]
             ["flops"] for trips in (1, 17)}
    tile = 64 * 64 * 64
    a_round = (flops[17] - flops[1]) / 16
    assert 4 * tile <= a_round <= 1.1 * 4 * tile, "and the softmax between them"
    text = shared_fms.ok("inspect", *arguments, "--assume-trips", 17).stdout
    assert "17 assumed" in text and "--assume-trips" in text


@pytest.mark.usefixtures("llvm")
def test_a_block_is_of_the_size_that_is_given(shared_fms):
    arguments = ["transpose", "--target", "sm_86"]
    given = inspect(shared_fms, *arguments, "--block", "32,4")
    assert given["launch"]["threads_per_block"] == 128
    assert given["counts"]["block"]["loaded_bytes"][GLOBAL] == \
        128 * given["counts"]["thread"]["loaded_bytes"][GLOBAL]
    assert given["counts"]["intensity"] == 0
    assert inspect(shared_fms, *arguments)["launch"]["threads_per_block"] == 256


def test_a_block_that_nobody_bounds_is_asked_for(shared_fms, tmp_path):
    file = tmp_path / "loose.cu"
    file.write_text('extern "C" __global__ void loose(float* x) { x[threadIdx.x] = 1; }\n')
    done = shared_fms("inspect", file, "--target", "sm_80", "--json")
    target = done.json["targets"][0]
    assert "--block" in target["occupancy"]["error"]["message"]
    assert done.json["launch"]["threads_per_block"] is None
    assert "--block" in shared_fms("inspect", file, "--target", "sm_80").stdout
    known = shared_fms("inspect", file, "--target", "sm_80", "--block", "64", "--json").json
    assert known["targets"][0]["occupancy"]["blocks"] == 32


def test_resources_and_occupancy_of_several_gpus(shared_fms):
    done = shared_fms("inspect", *GEMM, "--target", "sm_75,sm_80", "--target", "sm_90a", "--json")
    targets = done.json["targets"]
    assert [t["target"] for t in targets] == ["cuda:sm_75", "cuda:sm_80", "cuda:sm_90a"]
    for target in targets:
        resources = shared_fms.ok("compile", *GEMM, "--target", target["target"], "--emit",
                                  "resources", "--json").json
        for field in ("key", "registers", "spill_stores", "static_smem_bytes", "max_threads"):
            assert target[field] == resources[field], field
        assert target["parameter_bytes"] == 36
        assert target["constant_bytes"] >= target["parameter_bytes"]
        occupancy = target["occupancy"]
        assert occupancy["max_warps"] == (32 if target["target"] == "cuda:sm_75" else 64)
        assert occupancy["warps"] == 8 * occupancy["blocks"] > 0
        assert occupancy["share"] == occupancy["warps"] / occupancy["max_warps"]
        assert occupancy["limited_by"]


def test_dynamic_shared_memory_lowers_occupancy(shared_fms):
    def blocks(smem):
        done = shared_fms("inspect", "saxpy", "--target", "sm_90a", "--smem", smem, "--json")
        return done.json["targets"][0]["occupancy"]["blocks"]
    assert [blocks(0), blocks(110 * 1024), blocks(227 * 1024), blocks(228 * 1024)] == [8, 2, 1, 0]


def test_the_sass_is_counted_by_class_or_the_missing_program_is_named(shared_fms):
    target = shared_fms("inspect", *GEMM, "--target", "sm_80", "--json").json["targets"][0]
    if "error" in target["sass"]:
        assert "nvdisasm" in target["sass"]["error"]["message"]
        return
    classes = target["sass"]["classes"]
    assert set(classes) == CLASSES
    assert sum(classes.values()) == target["sass"]["instructions"]
    assert classes["fp32_fma"] == 16 * 4 * 4, "of the loop's body, unrolled"
    assert classes["global_store"] == 16 and classes["barrier"] >= 2
    assert classes["other"] == 0 and classes["local_load"] == 0
    listing = shared_fms.ok("compile", *GEMM, "--target", "sm_80", "--emit", "sass").stdout
    assert len(re.findall(r"\bFFMA\b", listing)) == classes["fp32_fma"]


def test_what_sass_there_is_comes_from_the_disassembler_of_the_path(fms, tmp_path):
    tool = tmp_path / "bin" / "nvdisasm"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nprintf '\\t.section\\t.text.saxpy,\"ax\"\\n"
                    " /*0000*/ FFMA R1, R2, R3, R4 ;\\n /*0010*/ EXIT ;\\n'\n")
    tool.chmod(0o755)
    environment = {"PATH": f"{tool.parent}:{fms.environment['PATH']}"}
    arguments = ["inspect", "saxpy", "--target", "sm_80", "--json"]
    sass = fms(*arguments, env=environment).json["targets"][0]["sass"]
    assert sass["instructions"] == 2 and sass["classes"]["fp32_fma"] == 1
    tool.write_text("#!/bin/sh\nexit 7\n")
    done = fms(*arguments, env=environment)
    assert "exit code 7" in done.json["targets"][0]["sass"]["error"]["message"]
    assert done.json["targets"][0]["registers"] > 0


@pytest.mark.usefixtures("llvm")
def test_the_cpu_has_regions_and_vectors(shared_fms):
    found = inspect(shared_fms, *GEMM, "--target", "cpu:x86-64-v3,cpu:x86-64-v2")
    new, old = found["targets"]
    assert new["kind"] == "cpu" and new["format"] == "elf" and new["bytes"] > 0
    assert new["regions"] > 1, "it has barriers"
    assert (new["vector_bits"], old["vector_bits"]) == (256, 128)
    assert new["frame_bytes"] > 0
    assert inspect(shared_fms, "saxpy", "--target", "cpu")["targets"][0]["regions"] == 1


@pytest.mark.kernels
@pytest.mark.usefixtures("llvm")
def test_counts_do_not_depend_on_the_target(shared_fms):
    counts = [inspect(shared_fms, *GEMM, "--target", target)["counts"]
              for target in ("sm_80", "cpu:x86-64-v2", "cpu:x86-64-v4")]
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.usefixtures("llvm")
@pytest.mark.parametrize("options, bound, ridge", [
    (["--peak-flops", "67T", "--bandwidth", "3.35T"], "memory", 20),
    (["--peak-flops", "1GFLOP/s", "--bandwidth", "3.35TB/s"], "compute", 1e9 / 3.35e12),
    (["--peak-flops", "67T"], None, None),
    (["--bandwidth", "3.35T"], None, None),
])
def test_a_given_roof_bounds_the_kernel(shared_fms, options, bound, ridge):
    arguments = ["saxpy", "-p", "kN=1048576", "--grid", "4096", "--target", "cpu", *options]
    roof, = inspect(shared_fms, *arguments)["roofs"]
    assert (roof["origin"], roof["bound_by"]) == ("given", bound)
    assert roof["ridge"] == (ridge and pytest.approx(ridge))
    assert roof["lowest_seconds"] > 0
    if bound == "memory":
        assert roof["attainable_flops"] == pytest.approx(3.35e12 / 6)
        assert roof["lowest_seconds"] == pytest.approx(12 * 1048576 / 3.35e12)
    text = shared_fms.ok("inspect", *arguments).stdout
    assert (bound or "--bandwidth") in text


@pytest.mark.usefixtures("llvm")
def test_without_a_roof_the_ways_to_one_are_named(shared_fms):
    assert inspect(shared_fms, "saxpy", "--target", "cpu")["roofs"] == []
    text = shared_fms.ok("inspect", "saxpy", "--target", "cpu").stdout
    assert "--peak-flops" in text and "--measure" in text and "0.1667" in text


@pytest.mark.usefixtures("llvm")
@pytest.mark.parametrize("element, precision", [("float32", "float32"), ("float64", "float64")])
def test_the_roof_here_is_measured_in_the_kernels_precision(fms, element, precision):
    found = inspect(fms, "saxpy", "-p", f"T={element}", "--target", "cpu", "--measure")
    roof = found["roofs"][0]
    assert (roof["origin"], roof["device"], roof["precision"]) == ("measured", "cpu", precision)
    assert roof["peak_flops"] > 1e8 and roof["bytes_a_second"] > 1e8
    assert roof["bound_by"] == "memory"


@pytest.mark.usefixtures("llvm")
def test_the_json_has_what_is_documented(shared_fms):
    found = inspect(shared_fms, *GEMM, "--grid", "3,4", "--block", "256", "--target", "sm_80,cpu",
                    "--peak-flops", "1T", "--bandwidth", "1T")
    assert set(found) == {"specialization", "launch", "counts", "roofs", "targets"}
    assert found["launch"] == {"grid": [3, 4, 1], "block": [256, 1, 1], "threads_per_block": 256,
                               "blocks": 12, "dynamic_smem_bytes": 0, "assumed_trips": 1}
    assert set(found["counts"]) == {"thread", "block", "launch", "loops", "all_known",
                                    "static_smem_bytes", "max_threads", "intensity"}
    for who in ("thread", "block", "launch"):
        assert set(found["counts"][who]) == COUNTS
        for what in ("loaded_bytes", "stored_bytes"):
            assert set(found["counts"][who][what]) == SPACES
    assert set(found["roofs"][0]) == {
        "origin", "device", "precision", "peak_flops", "bytes_a_second", "ridge", "bound_by",
        "attainable_flops", "lowest_seconds"}
    common = {"target", "kind", "key", "origin", "entry", "format", "bytes", "compile_ms",
              "static_smem_bytes", "max_threads", "parameter_bytes"}
    gpu, cpu = found["targets"]
    assert set(gpu) == common | {"registers", "spill_stores", "spill_loads", "stack_bytes",
                                 "constant_bytes", "serialized_wgmma", "occupancy", "sass"}
    assert set(cpu) == common | {"frame_bytes", "regions", "vector_bits"}


@pytest.mark.kernels
@pytest.mark.usefixtures("llvm")
def test_text_fits_in_a_hundred_columns(shared_fms):
    # Many columns, and the widest figures.
    for arguments, targets in (
        (GEMM, "sm_75,sm_80,sm_86,sm_89,sm_90a,sm_100a,sm_120,cpu"),
        (["attention_forward_simt"], "sm_100a,cpu"),
    ):
        text = shared_fms.ok("inspect", *arguments, "--target", targets, "--grid", "65535,65535",
                             "--assume-trips", "1e6", "--peak-flops", "67T", "--bandwidth",
                             "3.35T").stdout
        assert max(map(len, text.splitlines())) <= 100
        for words in ("Counted in the IR", "Loops", "Arithmetic intensity", "Object code"):
            assert words in text


def test_without_llvm_the_gpus_part_is_shown(fms):
    done = fms("inspect", "saxpy", "--target", "sm_80,cpu", "--json", env=NO_LLVM)
    assert done.returncode == 3
    assert "WITH_LLVM=1" in done.json["counts"]["error"]["message"]
    gpu, cpu = done.json["targets"]
    assert gpu["registers"] > 0 and gpu["occupancy"]["blocks"] > 0
    assert cpu["error"]["code"] == "unavailable"
    text = fms("inspect", "saxpy", "--target", "sm_80", env=NO_LLVM)
    assert "WITH_LLVM=1" in text.stdout and "registers" in text.stdout
    assert max(map(len, text.stdout.splitlines())) <= 100


@pytest.mark.usefixtures("llvm")
def test_without_nvrtc_the_counts_are_shown(fms):
    done = fms("inspect", "saxpy", "--target", "sm_80", "--json", env=NO_NVRTC)
    assert done.returncode == 3
    assert done.json["counts"]["thread"]["flops"] == 2
    assert "FMS_NVRTC" in done.json["targets"][0]["error"]["message"]
    text = fms("inspect", "saxpy", "--target", "sm_80", env=NO_NVRTC)
    assert "FMS_NVRTC" in text.stdout and "flops" in text.stdout


def test_with_neither_compiler_both_are_named(fms):
    done = fms("inspect", "saxpy", "--target", "sm_80", "--json", env={**NO_LLVM, **NO_NVRTC})
    assert done.returncode == 3 and set(done.json) == {"error"}
    assert "NVRTC" in done.stderr and "WITH_LLVM=1" in done.stderr


def test_what_is_in_the_store_needs_no_nvrtc(fms):
    fms.ok("compile", "saxpy", "--target", "sm_80", "--emit", "resources")
    target = fms("inspect", "saxpy", "--target", "sm_80", "--json", env=NO_NVRTC).json["targets"][0]
    assert target["origin"] == "store" and target["registers"] > 0


def test_a_compile_error_is_shown_once(fms, tmp_path):
    file = tmp_path / "broken.cu"
    file.write_text(BROKEN)
    done = fms("inspect", file, "--target", "sm_80")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("fms: can't ") and "no_such_name" in done.stderr


@pytest.mark.usefixtures("llvm")
def test_code_that_only_a_gpu_can_run_has_no_counts_but_resources(fms, tmp_path):
    file = tmp_path / "ptx.cu"
    file.write_text('extern "C" __global__ void __launch_bounds__(32) ptx(unsigned* x) {\n'
                    '  asm volatile("mov.u32 %0, %%smid;" : "=r"(x[0]));\n}\n')
    done = fms("inspect", file, "--target", "sm_80", "--json")
    assert done.returncode == 1
    assert done.json["targets"][0]["registers"] > 0
    assert "error" in done.json["counts"]


@pytest.mark.parametrize("arguments", [
    [], ["no_such_template"], ["saxpy", "-p", "kBlock=33"], ["saxpy", "--target", "sm_10"],
    ["saxpy", "--grid", "0"], ["saxpy", "--grid", "1x1"], ["saxpy", "--grid", "1,65536"],
    ["saxpy", "--block", "512"], ["saxpy", "--block", "2048"], ["saxpy", "--block", "1,1,65"],
    ["saxpy", "--peak-flops", "67X"], ["saxpy", "--bandwidth", "-1T"],
    ["saxpy", "--assume-trips", "-1"], ["saxpy", "--assume-trips", "many"],
    ["saxpy", "--smem", "-1"],
])
def test_bad_usage_is_exit_code_2(shared_fms, arguments):
    done = shared_fms("inspect", *arguments, *(["--target", "sm_80"]
                                               if "--target" not in arguments else []))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("fms: can't ") and done.stdout == ""


def test_help_explains_with_an_example(shared_fms):
    text = shared_fms.ok("inspect", "--help").stdout
    for words in ("Example:", "--cache-dir", "--measure", "inspect.md"):
        assert words in text
    assert "inspect" in shared_fms.ok("--help").stdout


@pytest.mark.usefixtures("llvm")
def test_the_gpu_is_measured_where_there_is_one(fms, has_device):
    if not has_device:
        pytest.skip("no CUDA device")
    roofs = inspect(fms, "saxpy", "--measure")["roofs"]
    gpu = next(roof for roof in roofs if roof["device"] == "cuda:0")
    assert gpu["peak_flops"] > 1e12 and gpu["bytes_a_second"] > 1e11
