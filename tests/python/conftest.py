"""How the tests find the package, and the store they share."""

import importlib.util
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# JAX takes three quarters of a GPU's memory else, which tests that run beside its own need.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def find_package():
    """Puts a build of the package on the path, unless one is installed. Says why it can't."""
    if importlib.util.find_spec("tvm_ffi") is None:
        return "apache-tvm-ffi isn't installed"
    if importlib.util.find_spec("flashmoe_science") is not None:
        return ""
    given = os.environ.get("FMS_PYTHON")
    candidates = [pathlib.Path(given).absolute()] if given else sorted(ROOT.glob("build/*/python"))
    for folder in candidates:
        if list(folder.glob("flashmoe_science/_C*.so")):
            sys.path.insert(0, str(folder))
            # Processes that tests start find it too.
            paths = [str(folder), os.environ.get("PYTHONPATH", "")]
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            return ""
    return "flashmoe_science isn't built (cmake -DFMS_BUILD_PYTHON=ON)"


missing = find_package()
if missing and os.environ.get("FMS_TEST_REQUIRE_PYTHON"):
    raise RuntimeError(missing)
collect_ignore_glob = ["test_*.py"] if missing else []


def pytest_report_header():
    return f"tests/python are left out: {missing}" if missing else None


@pytest.fixture(scope="session", autouse=True)
def environment():
    """Nothing from outside but where the libraries are; a store that is kept from run to run.

    Most tests want kernels, and few want to see them compiled.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE_MAX_BYTES", "OFFLINE", "RECORD", "SANITIZE", "LOG", "DUMP_DIR",
                     "LINEINFO", "MAX_JOBS", "TARGET"):
            patch.delenv(f"FMS_{name}", raising=False)
        patch.setenv("FMS_CACHE_DIR", str(ROOT / "build" / "test-cache" / "python"))
        # Where `make setup` puts the wheel with NVRTC.
        if (ROOT / ".venv").is_dir() and "VIRTUAL_ENV" not in os.environ:
            patch.setenv("VIRTUAL_ENV", str(ROOT / ".venv"))
        yield


@pytest.fixture(scope="session")
def fms(environment):
    import flashmoe_science

    return flashmoe_science


@pytest.fixture(scope="session")
def cpu(fms):
    """Skips where kernels can't run on the CPU."""
    found = fms.doctor()["llvm"]
    if not found["found"]:
        pytest.skip(found["message"])


@pytest.fixture(scope="module")
def dynamic(fms):
    """One kernel for all lengths: on the CPU a compile takes seconds."""
    with fms.configure(policy="dynamic"):
        yield


@pytest.fixture(scope="module")
def jax_on_cpu():
    """JAX's arrays are made on the CPU, also where it has a GPU."""
    jax = pytest.importorskip("jax")
    with jax.default_device(jax.devices("cpu")[0]):
        yield


@pytest.fixture(scope="session")
def fms_jax(fms):
    import flashmoe_science.jax

    return flashmoe_science.jax


@pytest.fixture
def no_grad():
    """PyTorch from its first random number on, and without gradients."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def nvrtc(fms):
    """Skips where nothing can be compiled for a GPU."""
    found = fms.doctor()["nvrtc"]
    if not found["found"]:
        pytest.skip(found["message"])


@pytest.fixture
def empty_store(fms, tmp_path):
    """A store of this test's own."""
    with fms.configure(cache_dir=tmp_path / "store"):
        yield tmp_path / "store"


@pytest.fixture(scope="session")
def saxpy(fms):
    from sources import SAXPY

    return fms.jit(SAXPY, name="saxpy")
