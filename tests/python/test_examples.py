"""The examples run, and print what they should."""

import pathlib
import runpy
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "python" / "examples"
pytestmark = pytest.mark.usefixtures("cpu", "dynamic")


def run(name, capsys):
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_a_kernel_of_ones_own(fms, capsys):
    assert run("own_kernel.py", capsys) == "peaks at [675]\n"


def test_attention_on_other_arrays(fms, capsys):
    printed = run("arrays.py", capsys)
    assert "ndarray of (2, 70, 4, 32), off by" in printed
    assert float(printed.split()[-1]) < 1e-4


def test_scores_and_masks_of_ones_own(fms, capsys):
    printed = run("own_scores.py", capsys)
    assert printed.startswith("visits 7 of 16 tiles")
    assert float(printed.split()[-1]) < 1e-4


def test_a_transformer_block(fms, capsys):
    pytest.importorskip("torch")
    example = runpy.run_path(str(EXAMPLES / "transformer_block.py"))
    example["main"](backend="aot_eager")  # Inductor takes half a minute: test_torch_operators.py
    assert "(2, 100, 128) on" in capsys.readouterr().out


def test_in_jax(fms, capsys):
    pytest.importorskip("jax")
    printed = run("in_jax.py", capsys)
    assert float(printed.split()[-1]) < 1e-5


def test_each_example_is_tested():
    tested = pathlib.Path(__file__).read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f'"{example.name}"' in tested
    assert sys.version_info >= (3, 10)
