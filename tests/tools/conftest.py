"""How the tests find the program and run it: each with a store and an environment of its own."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def find_program() -> pathlib.Path:
    given = os.environ.get("FMS_PROGRAM")
    return pathlib.Path(given) if given else ROOT / "build/release/tools/fms"


class Done(subprocess.CompletedProcess):
    """A run that has ended."""

    @property
    def json(self):
        return json.loads(self.stdout)


class Fms:
    """Runs the program with a store in `cache`."""

    def __init__(self, program, cache, environment):
        self.program = program
        self.cache = cache
        self.environment = environment

    def command(self, *arguments):
        return [str(self.program), *map(str, arguments)]

    def __call__(self, *arguments, env=None, cwd=None, text=True, stdin=""):
        environment = {**self.environment, **(env or {})}
        done = subprocess.run(
            self.command(*arguments), env=environment, cwd=cwd or self.cache.parent, timeout=600,
            capture_output=True, text=text, input=stdin if text else stdin.encode(), check=False)
        return Done(done.args, done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments, **options):
        done = self(*arguments, **options)
        assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done

    def with_cache(self, cache):
        environment = {**self.environment, "FMS_CACHE_DIR": str(cache)}
        return Fms(self.program, cache, environment)


def clean_environment():
    """This process's, without what changes the program's behaviour."""
    kept = ("FMS_NVRTC", "FMS_LLVM")
    return {k: v for k, v in os.environ.items() if not k.startswith("FMS_") or k in kept}


@pytest.fixture(scope="session")
def program():
    path = find_program()
    if not path.is_file():
        pytest.fail(f"{path} isn't built; build it, or set FMS_PROGRAM")
    return path


def make_fms(program, folder):
    cache = folder / "store"
    environment = clean_environment()
    # Python's own virtual environment is where the wheel with NVRTC may be.
    if (ROOT / ".venv").is_dir():
        environment.setdefault("VIRTUAL_ENV", str(ROOT / ".venv"))
    environment["FMS_CACHE_DIR"] = str(cache)
    return Fms(program, cache, environment)


@pytest.fixture
def fms(program, tmp_path):
    return make_fms(program, tmp_path)


@pytest.fixture(scope="module")
def shared_fms(program, tmp_path_factory):
    """One store for all tests of a file that only read."""
    return make_fms(program, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def found(program, tmp_path_factory):
    """What the program finds on this machine."""
    return make_fms(program, tmp_path_factory.mktemp("doctor"))("doctor", "--json").json


@pytest.fixture(scope="session")
def has_device(found):
    return bool(found["driver"].get("devices"))


@pytest.fixture(scope="session")
def has_llvm(found):
    """Fails where the build has the LLVM library and it isn't found (FMS_TEST_REQUIRE_LLVM)."""
    there = found["llvm"]["found"] and found["cpu"]["found"]
    if not there and os.environ.get("FMS_TEST_REQUIRE_LLVM"):
        pytest.fail("these tests need the CPU target: " +
                    found["llvm"].get("message", "") + found["cpu"].get("message", ""))
    return there


@pytest.fixture(scope="session")
def llvm(has_llvm, found):
    """For tests of the CPU target: skips where there is none."""
    if not has_llvm:
        pytest.skip(found["llvm"].get("message", "the CPU can't be used"))
    return found["llvm"]


@pytest.fixture(params=["cuda", "cpu"])
def on(request, has_device, has_llvm):
    """The options that run a kernel on the one or the other."""
    if request.param == "cpu" and not has_llvm:
        pytest.skip("no LLVM library")
    if request.param == "cuda" and not has_device:
        pytest.skip("no CUDA device")
    return ["--device", "cpu" if request.param == "cpu" else "0"]


@pytest.fixture(scope="session", autouse=True)
def needs_nvrtc(found):
    if not found["nvrtc"]["found"]:
        pytest.fail("these tests compile: " + found["nvrtc"]["message"])


FEW = ('# two kernels, one of them with an exact size too\n'
       '{"template": "saxpy", "parameters": {"kN": 4096}}\n'
       '{"template": "transpose", "parameters": {}}\n')


@pytest.fixture
def manifest(tmp_path):
    file = tmp_path / "few.jsonl"
    file.write_text(FEW)
    return file


@pytest.fixture(scope="session")
def warm_store(program, tmp_path_factory):
    """A store with the manifest's kernels for two GPUs: six entries. To be copied."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "few.jsonl").write_text(FEW)
    made = make_fms(program, folder)
    made.ok("warm", folder / "few.jsonl", "--target", "sm_80,sm_90a")
    return made.cache
