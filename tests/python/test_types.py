"""Type hints, as mypy checks them: in the package, and as a user's code sees them."""

import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("mypy")
ROOT = pathlib.Path(__file__).resolve().parents[2]

USER = """
import flashmoe_science as fms
from typing_extensions import assert_type

kernel = fms.jit("saxpy")
assert_type(kernel, fms.KernelTemplate)
kernel[1, 256](1, 2.0, None, None, T=fms.float32)
kernel[(1, 2), (32, 8), 1024](1)
assert_type(kernel.prepare(T=fms.float32), fms.Kernel)
assert_type(kernel.ptx(), str)
assert_type(bool(fms.supports(1, 2, 3)), bool)
with fms.configure(offline=True, policy="exact"):
    fms.attention(1, 2, 3, causal="top-left", layout="bhsd")
assert_type(fms.cache.clear(), int)
"""


def mypy(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", *arguments], cwd=ROOT, capture_output=True, text=True,
        timeout=300, check=False)


def test_the_package_is_clean():
    done = mypy()
    assert done.returncode == 0, done.stdout


def test_a_users_code_is_checked(tmp_path):
    wrong = ['fms.attention(1, 2, 3, layout="hsbd")', 'fms.jit("saxpy", policy="lazy")']
    (tmp_path / "user.py").write_text("\n".join([USER.rstrip(), *wrong]) + "\n")
    done = mypy(str(tmp_path / "user.py"))
    lines = USER.rstrip().count("\n") + 1
    found = re.findall(r"user\.py:(\d+): error:", done.stdout)
    assert found == [str(lines + 1), str(lines + 2)], done.stdout
