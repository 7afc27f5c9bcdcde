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
    return {k: v for k, v in os.environ.items() if not k.startswith("FMS_") or k == "FMS_NVRTC"}


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
def has_device(program, tmp_path_factory):
    found = make_fms(program, tmp_path_factory.mktemp("doctor"))("doctor", "--json").json
    return bool(found["driver"].get("devices"))


@pytest.fixture(scope="session", autouse=True)
def needs_nvrtc(program, tmp_path_factory):
    found = make_fms(program, tmp_path_factory.mktemp("doctor"))("doctor", "--json").json
    if not found["nvrtc"]["found"]:
        pytest.fail("these tests compile: " + found["nvrtc"]["message"])


@pytest.fixture
def manifest(tmp_path):
    file = tmp_path / "few.jsonl"
    file.write_text(
        '# two kernels, one of them with an exact size too\n'
        '{"template": "saxpy", "parameters": {"kN": 4096}}\n'
        '{"template": "transpose", "parameters": {}}\n')
    return file
