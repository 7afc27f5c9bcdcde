"""What a wheel promises, as far as a build tree shows it; tools/check_wheel.sh has the rest."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_readmes_quick_start_is_right(fms, cpu, tmp_path):
    """In a process of its own, as a newcomer runs it."""
    found = re.search(
        r"<!-- quick start -->\n```python\n(.*?)```\n<!-- end of quick start -->",
        (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "quick_start.py").write_text(found[1])
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "try_wheel.py", tmp_path / "quick_start.py"],
        capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "scaled: [0. 2. 4. 6.]\nattended: (2, 128, 4, 64) (2, 4, 128)\noff by ")


def test_without_compilers_it_says_what_to_do(fms, empty_store):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "try_wheel.py"],
        capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_it_tells_an_llvm_that_is_not_installed(fms, tmp_path):
    """The wheel has our library, and not those of LLVM that this is linked to."""
    (tmp_path / "empty.cpp").write_text("void nothing() {}\n")

    def link(name, *libraries):
        subprocess.run(
            ["g++", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", tmp_path / name,
             tmp_path / "empty.cpp", "-Wl,--no-as-needed", *libraries], check=True)

    link("libclang-cpp.so.19.99")
    link("libfms_llvm.so", tmp_path / "libclang-cpp.so.19.99")
    (tmp_path / "libclang-cpp.so.19.99").unlink()
    code = "import flashmoe_science as fms; print(fms.doctor()['llvm']['message'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "FMS_LLVM": str(tmp_path)})
    assert "libclang-cpp.so.19.99: cannot open shared object file" in done.stdout
    assert "apt-get install libclang-cpp19" in done.stdout
