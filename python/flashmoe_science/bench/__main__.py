"""``python -m flashmoe_science.bench attention|jit [--json] [--plot out.png]``."""

from __future__ import annotations

import argparse
import sys

from .._errors import Error
from . import _attention, _launch, _report


def _shape(text: str) -> tuple[int, int, int, int]:
    parts = [int(part) for part in text.split(",")]
    if len(parts) != 4 or min(parts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} isn't batch,heads,seq,head_dim")
    return parts[0], parts[1], parts[2], parts[3]


def main(arguments: list[str] | None = None) -> int:
    """Measures what the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m flashmoe_science.bench", description="Measures beside peers, in one run."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="for a program to read")
    common.add_argument("--plot", metavar="FILE", help="also draw it (needs matplotlib)")
    common.add_argument(
        "--rounds", type=int, default=0, help="samples of each; default: 30, or 7 on the CPU"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    attention = commands.add_parser(
        "attention", parents=[common], help="attention forward: PyTorch's kernels, Flex, FA3, ..."
    )
    attention.add_argument(
        "--shape", type=_shape, action="append", metavar="B,H,N,D",
        help="batch,heads,seq,head_dim; may be given several times",
    )  # fmt: skip
    attention.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="")
    commands.add_parser(
        "jit", parents=[common], help="host time of launches: raw driver, Triton, CuPy, cuda.core"
    )
    given = parser.parse_args(arguments)
    try:
        if given.command == "attention":
            report = _attention.run(given.shape or [], given.dtype, given.rounds)
        else:
            report = _launch.run(given.rounds)
        print(_report.as_json(report) if given.json else _report.as_text(report))
        if given.plot:
            _report.plot(report, given.plot)
    except (Error, ImportError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
