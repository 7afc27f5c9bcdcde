"""``python -m flashmoe_science.bench attention|jit [--json] [--plot out.png]``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from .._errors import Error
from . import _attention, _document, _launch, _options, _report
from ._peers import Shape


def _shapes(text: str) -> list[Shape]:
    words = text.split(",")
    masks = {"full": [False], "causal": [True]}.get(words[-1], [False, True])
    parts = [int(word) for word in (words[:-1] if words[-1] in ("full", "causal") else words)]
    if len(parts) != 4 or min(parts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} isn't batch,heads,seq,head_dim[,full|causal]")
    return [Shape(parts[0], parts[1], parts[2], parts[3], causal) for causal in masks]


def _run_attention(given: argparse.Namespace) -> _report.Report:
    """Rows are printed as they come, and written where --markdown says."""
    printed: list[bool] = []

    def tell(report: _report.Report, rows: list[_report.Row]) -> None:
        if given.json != "-":
            if not printed:
                print(_report.head_of(report))
                printed.append(True)
            print(_report.rows_as_text(report, rows), flush=True)
        if given.markdown:
            page = _document.options_as_markdown if given.options else _document.as_markdown
            with open(given.markdown, "w") as file:
                file.write(page(report))

    shapes = [shape for each in given.shape or [] for shape in each][: given.first or None]
    if given.options:
        once = list(dict.fromkeys(replace(shape, causal=False) for shape in shapes))
        return _options.OptionsBench(once, given.dtype, given.rounds, tell, given.commit).run()
    if not shapes and given.first:
        shapes = _attention.ON_CUDA[: given.first]
    bench = _attention.Bench(
        shapes, given.dtype, given.rounds, given.peer, not given.no_counters, tell, given.commit
    )
    return bench.run()


def main(arguments: list[str] | None = None) -> int:
    """Measures what the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m flashmoe_science.bench", description="Measures beside peers, in one run."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", nargs="?", const="-", default="", metavar="FILE",
        help="for a program to read; with FILE there, beside the text",
    )  # fmt: skip
    common.add_argument("--plot", metavar="FILE", help="also draw it (needs matplotlib)")
    common.add_argument(
        "--rounds", type=int, default=0,
        help="samples of each; default: 60, 30 for jit, 7 on the CPU",
    )  # fmt: skip
    common.add_argument(
        "--commit", default="", help="what is measured; default: what git says of the sources"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    attention = commands.add_parser(
        "attention", parents=[common], help="attention forward: PyTorch's kernels, Flex, FA3, ...",
        description="Rows are printed as they come. On a GPU the design document's table comes "
        "first, and each call finds an empty L2 cache.",
    )
    attention.add_argument(
        "--shape", type=_shapes, action="append", metavar="B,H,N,D[,MASK]",
        help="batch,heads,seq,head_dim and full or causal; may be given several times",
    )  # fmt: skip
    attention.add_argument(
        "--first", type=int, default=0, metavar="N", help="only so many of the shapes"
    )
    attention.add_argument(
        "--options", action="store_true",
        help="functions, biases, windows and so on, beside the plain kernel and FlexAttention",
    )  # fmt: skip
    attention.add_argument(
        "--peer", action="append", metavar="WORD",
        help="only peers with this in their names; may be given several times (default: all)",
    )  # fmt: skip
    attention.add_argument(
        "--no-counters", action="store_true", help="don't ask ncu how busy the tensor pipe is"
    )
    attention.add_argument(
        "--markdown", metavar="FILE", help="also write the page of docs/ here, row by row"
    )
    attention.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="")
    jit = commands.add_parser(
        "jit", parents=[common], help="host time of launches: raw driver, Triton, CuPy, cuda.core"
    )
    jit.add_argument(
        "--processes", type=int, default=5, metavar="N",
        help="new processes whose first calls are measured; 0: none (default: 5 of each kind)",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    try:
        if given.command == "attention":
            report = _run_attention(given)
            text = _report.tail_of(report)
        else:
            report = _launch.run(given.rounds, given.processes, given.commit)
            text = _report.as_text(report)
        if given.json not in ("", "-"):
            Path(given.json).write_text(_report.as_json(report) + "\n")
        print(_report.as_json(report) if given.json == "-" else text)
        if given.plot:
            _report.plot(report, given.plot)
    except (Error, ImportError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
