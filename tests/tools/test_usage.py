"""Help, usage errors and exit codes."""

import json

import pytest

COMMANDS = [
    ["doctor"], ["compile"], ["inspect"], ["run"], ["attention"], ["warm"], ["verify"], ["demo"],
    ["bench"], ["version"], ["cache"], ["cache", "list"], ["cache", "stats"], ["cache", "why"],
    ["cache", "verify"], ["cache", "gc"], ["cache", "clear"], ["cache", "export"],
    ["cache", "import"], ["warm-worker"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(fms, command):
    done = fms.ok(*command, "--help")
    assert "Example:" in done.stdout
    if command != ["cache"]:
        assert "--cache-dir" in done.stdout
        assert "--log" in done.stdout


def test_help_lists_commands_and_exit_codes(fms):
    text = fms.ok("--help").stdout
    for command in COMMANDS[:11]:
        assert command[0] in text
    assert "Exit codes" in text
    assert "warm-worker" not in text, "hidden"


def test_version(fms):
    assert fms.ok("--version").stdout.startswith("fms ")
    assert set(fms.ok("version", "--json").json) == {"version", "commit"}


@pytest.mark.parametrize("arguments", [
    [], ["no-such-command"], ["compile"], ["doctor", "--no-such-option"],
    ["compile", "saxpy", "--emit", "nonsense"], ["compile", "saxpy", "--target", "sm_10"],
    ["compile", "no_such_template", "--target", "sm_80"],
    ["compile", "none.cu", "--emit", "source"],
    ["compile", "saxpy", "-p", "kBlock", "--emit", "source"],
    ["compile", "saxpy", "-p", "kBlock=33", "--emit", "source"],
    ["compile", "saxpy", "-p", "kNone=3", "--emit", "source"],
    ["compile", "saxpy", "-p", "kN=3", "-p", "kN=4", "--emit", "source"],
    ["warm"], ["warm", "none.jsonl", "--target", "sm_80"], ["verify", "none", "--target", "sm_80"],
    ["warm", "llama-3.1-8b", "--target", "sm_80", "-j", "0"], ["cache"], ["cache", "nonsense"],
    ["cache", "why", "zz"], ["cache", "gc", "--max-bytes", "much"], ["doctor", "--log", "loud"],
    ["run", "saxpy", "--grid", "1", "--block", "0x1"],
    ["run", "saxpy", "--grid", "1", "--block", "1", "--arg", "i32:x"],
    ["run", "saxpy", "--grid", "1", "--block", "1", "--arg", "in:none.npy"],
    ["run", "saxpy", "--grid", "1", "--block", "1", "--device", "gpu"],
    ["run", "saxpy", "--grid", "1", "--block", "1", "--device", "cpu", "--sanitize", "leak"],
    ["compile", "saxpy", "--target", "sm_80", "--emit", "asm"],
    ["compile", "saxpy", "--target", "cpu", "--emit", "sass"],
])
def test_bad_usage_is_exit_code_2(fms, arguments):
    done = fms(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("fms: can't "), done.stderr
    assert len(done.stderr.strip()) > 20


def test_an_error_is_json_as_well_when_json_is_asked_for(fms):
    done = fms("compile", "no_such_template", "--target", "sm_80", "--json")
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "not_found"
    assert "saxpy" in error["message"], "the names there are"


def test_a_wrong_value_names_parameter_and_limits(fms):
    done = fms("compile", "saxpy", "-p", "kBlock=33", "--emit", "source")
    assert "kBlock" in done.stderr and "33" in done.stderr and "32" in done.stderr


@pytest.mark.parametrize("name, value", [
    ("FMS_OFFLINE", "perhaps"), ("FMS_LOG", "loud"), ("FMS_TARGET", "sm_10"),
    ("FMS_SANITIZE", "leak"),
    ("FMS_CACHE_MAX_BYTES", "much"), ("FMS_MAX_JOBS", "-1"), ("FMS_CACHE_DIR", "relative"),
])
def test_a_wrong_variable_is_named(fms, name, value):
    done = fms("cache", "stats", env={name: value})
    assert done.returncode == 2
    assert value in done.stderr


def test_doctor_says_what_is_here(fms):
    found = fms.ok("doctor", "--json").json
    assert found["nvrtc"]["found"] and 90 in found["nvrtc"]["archs"]
    assert {v["name"] for v in found["environment"]} >= {"FMS_CACHE_DIR", "FMS_NVRTC", "FMS_TARGET"}
    assert {t["name"] for t in found["templates"]} >= {"saxpy", "gemm", "attention_forward_simt"}
    saxpy = next(t for t in found["templates"] if t["name"] == "saxpy")
    assert [p["name"] for p in saxpy["parameters"]] == ["T", "kBlock", "kN"]
    assert found["store"][0]["folder"] == str(fms.cache) and found["store"][0]["writable"]
    assert "llama-3.1-8b" in found["manifests"]
    text = fms.ok("doctor").stdout
    for heading in ("NVRTC", "LLVM", "Driver", "CPU", "Store", "Environment", "Templates"):
        assert heading in text


def test_cache_dir_works_on_every_command_and_wins_over_the_environment(fms, tmp_path):
    other = tmp_path / "other"
    fms.ok("compile", "saxpy", "--target", "sm_80", "--emit", "key", "--cache-dir", other)
    fms.ok("compile", "saxpy", "--target", "sm_80", "--emit", "resources", "--cache-dir", other)
    assert fms.ok("cache", "stats", "--json", "--cache-dir", other).json["entries"] == 1
    assert fms.ok("cache", "stats", "--json").json["entries"] == 0
    found = fms.ok("doctor", "--json", "--cache-dir", "other").json
    assert found["store"][0]["folder"] == str(other)
