"""The package as such: what importing it does, and what it offers."""

import pathlib
import pickle
import subprocess
import sys

import pytest


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_imports_no_framework():
    loaded = run_python(
        "import sys, flashmoe_science\n"
        "print([m for m in ('torch', 'numpy', 'tvm_ffi', 'cupy', 'jax') if m in sys.modules])")
    assert loaded == "[]"


@pytest.mark.usefixtures("cpu")
def test_attention_of_tensors_imports_neither_tvm_ffi_nor_operators():
    torch = pytest.importorskip("torch")
    if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        pytest.skip("this PyTorch's tensors are read by tvm-ffi")
    loaded = run_python(
        "import sys, torch, flashmoe_science as fms\n"
        "x = torch.ones(1, 1, 1, 16)\n"
        "assert fms.flash_attention_science(x, x, x).equal(x)\n"
        "print([m for m in ('tvm_ffi', 'flashmoe_science._torch_operators') if m in sys.modules])")
    assert loaded == "[]"


def test_the_module_torch_registers_the_operators():
    pytest.importorskip("torch")
    run_python(
        "import torch, flashmoe_science.torch\n"
        "torch.ops.flashmoe_science.attention_forward.default\n"
        "torch.ops.flashmoe_science.attention_forward_lse.default")


def test_a_kernel_on_numpy_arrays_imports_no_pytorch():
    loaded = run_python(
        "import sys, numpy, flashmoe_science as fms\n"
        "fms.jit('extern \"C\" __global__ void f(int n, float* x) {}').source()\n"
        "print([m for m in ('torch', 'tvm_ffi') if m in sys.modules])")
    assert loaded == "[]"


def test_importing_and_asking_for_names_opens_no_driver():
    mapped = run_python(
        "import flashmoe_science as fms\n"
        "fms.jit, fms.cache, fms.float32\n"
        "print('libcuda' in open('/proc/self/maps').read())")
    assert mapped == "False"


def test_every_public_name_is_there_and_documented(fms):
    for name in fms.__all__:
        value = getattr(fms, name)
        if name != "__version__":
            assert value.__doc__, name
    assert set(fms.__all__) == set(dir(fms))


def test_an_unknown_name_is_an_attribute_error(fms):
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fms.nothing


def test_the_versions_agree(fms):
    from flashmoe_science import _C

    assert fms.__version__ == _C.version


def test_type_hints_are_shipped(fms):
    assert (pathlib.Path(fms.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("name", ["flash_attention_backward", "fused_moe", "FlashMoELayer"])
def test_reserved_names_say_that_they_are_not_here_yet(fms, name):
    with pytest.raises(NotImplementedError, match=f"{name} isn't here yet"):
        getattr(fms, name)()


def test_errors_are_what_python_users_expect(fms):
    for error, builtin in [
        (fms.InvalidArgumentError, ValueError), (fms.ArgumentError, TypeError),
        (fms.NotFoundError, LookupError), (fms.TimeoutError, TimeoutError), (fms.IoError, OSError),
        (fms.OutOfMemoryError, MemoryError), (fms.CompileError, RuntimeError),
        (fms.OfflineError, RuntimeError), (fms.UnavailableError, RuntimeError),
    ]:
        assert issubclass(error, builtin)
        assert issubclass(error, fms.Error)


def test_every_error_code_of_the_library_has_a_class():
    from flashmoe_science import _errors

    header = pathlib.Path(__file__).resolve().parents[2] / "compiler" / "result.cpp"
    codes = {line.split('"')[1] for line in header.read_text().splitlines() if "return \"" in line}
    assert codes <= set(_errors.codes())


def test_errors_and_types_survive_pickling(fms):
    error = pickle.loads(pickle.dumps(fms.CompileError("one line", "more")))
    assert (error.message, error.detail) == ("one line", "more")
    assert pickle.loads(pickle.dumps(fms.bfloat16)) is fms.bfloat16
    assert pickle.loads(pickle.dumps(fms.bool_)) is fms.bool_


def test_doctor_says_what_is_found(fms):
    printed = run_python("from flashmoe_science.__main__ import main; import sys\n"
                         "sys.argv = ['fms', 'doctor']; main()")
    for word in ("GPU", "NVRTC", "LLVM", "Store", "FMS_CACHE_DIR", "saxpy"):
        assert word in printed
    assert set(fms.doctor()) >= {"driver", "nvrtc", "llvm", "cpu", "options", "environment"}
