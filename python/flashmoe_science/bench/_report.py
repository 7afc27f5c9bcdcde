"""What was measured, as a table, as JSON, and as a plot."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any


@dataclass
class Row:
    """One peer on one problem.

    Attributes:
        problem: what was computed, or called.
        peer: by what.
        seconds: median, per call.
        rate: TFLOP/s; None where that says nothing.
        error: largest difference of one head from double precision; None: not checked.
        spread: (third quartile - first) / median, of the samples.
        of_floor: the time of the products alone, at the rate of a matrix product, over its own.
        sm_mhz: the SMs' clock meanwhile.
        tensor_pipe: percent of the cycles in which the tensor pipe was busy.
        apart: largest difference from the result of cuDNN, or of what else it is compared with.
        of_plain: its rate over that of the plain kernel, of an option of attention.
    """

    problem: str
    peer: str
    seconds: float
    rate: float | None = None
    error: float | None = None
    spread: float = 0.0
    of_floor: float | None = None
    sm_mhz: int | None = None
    tensor_pipe: float | None = None
    apart: float | None = None
    of_plain: float | None = None


@dataclass(frozen=True)
class Aim:
    """What a time should be.

    Attributes:
        what: is measured.
        text: the aim in words.
        most: seconds, by the rows of the same run.
        measured: seconds.
        met: None: aims are for another device.
    """

    what: str
    text: str
    most: float
    measured: float
    met: bool | None


@dataclass(frozen=True)
class Report:
    """A whole run.

    Attributes:
        title: what is compared, and in what unit.
        machine: what it ran on: names and versions.
        rows: of all problems, in the order of the run.
        missing: peers that didn't run, and why.
        ours: the peer that ratios are to.
        aims: what is wanted of some of the rows.
    """

    title: str
    machine: dict[str, str]
    rows: list[Row]
    missing: dict[str, str]
    ours: str
    aims: list[Aim] = field(default_factory=list)

    def ratio(self, row: Row) -> float:
        """Its time over that of ours."""
        for each in self.rows:
            if (each.problem, each.peer) == (row.problem, self.ours):
                return row.seconds / each.seconds
        return float("nan")


def machine_of(torch: Any, device: str, commit: str = "") -> dict[str, str]:
    """What a table must say of where it was measured, and of what: see :func:`commit_of`."""
    names = ("flashmoe-science", "torch", "triton", "cupy-cuda13x", "cuda-core", "jax", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    if device == "cuda":
        found["device"] = torch.cuda.get_device_name()
        found["cuDNN"] = str(torch.backends.cudnn.version())
        found["driver"] = _driver()
    else:
        from .._native import native

        found["device"] = str(native.device(1, 0)["name"])
        if torch is not None:
            found["threads"] = str(torch.get_num_threads())
    if hasattr(os, "getloadavg"):  # well above 0 before the run: others disturb it
        found["load"] = f"{os.getloadavg()[0]:.1f}"
    found["date"], found["commit"] = str(datetime.date.today()), commit_of(commit)
    return found


def commit_of(given: str = "") -> str:
    """`given`, or what git says of the sources, or "unknown"."""
    if given:
        return given
    here = os.path.dirname(os.path.realpath(__file__))
    command = ["git", "-C", here, "describe", "--always", "--dirty", "--tags"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.split("\n")[0].strip() or "unknown"


def as_json(report: Report) -> str:
    """For programs."""
    made = asdict(report)
    for row, each in zip(made["rows"], report.rows):
        row["ratio"] = report.ratio(each)
    return json.dumps(made, indent=2)


def as_text(report: Report) -> str:
    """For people: times, and how often ours goes into each."""
    return "\n".join([head_of(report), rows_as_text(report, report.rows), tail_of(report)])


def head_of(report: Report) -> str:
    """What is compared, and where."""
    return f"{report.title}\n  " + ", ".join(f"{k} {v}" for k, v in report.machine.items())


def tail_of(report: Report) -> str:
    """What was wanted, and what isn't there, and why."""
    lines = [*_aims_as_text(report.aims)]
    if report.missing:
        lines.append("\nNot in this run")
        lines += [f"  {name}: {reason}" for name, reason in report.missing.items()]
    return "\n".join(lines)


def _aims_as_text(aims: list[Aim]) -> Iterator[str]:
    if not aims:
        return
    head = ("what", "at most", "that is", "measured", "met")
    met = {True: "yes", False: "NO", None: "(for a GPU)"}
    cells = [head] + [
        (each.what, each.text, _time(each.most).strip(), _time(each.measured).strip(),
         met[each.met])
        for each in aims
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells)]
    yield "\nAims"
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def rows_as_text(report: Report, rows: list[Row]) -> str:
    """Some of the report's rows, those of a problem under its name."""
    lines: list[str] = []
    width = max((len(row.peer) for row in rows), default=0)
    problem = None
    for row in rows:
        if row.problem != problem:
            problem = row.problem
            lines.append(f"\n{problem}")
        line = f"  {row.peer:{width}} {_time(row.seconds)}  {report.ratio(row):7.2f} x"
        if row.rate is not None:
            line += f"  {row.rate:8.3g} TFLOP/s"
        if row.of_floor is not None:
            line += f"  {row.of_floor:4.0%} of the floor"
        if row.error is not None:
            line += f"  error {row.error:.1e}"
        line += f"  +-{100 * row.spread:.0f} %"
        if row.of_plain is not None:
            line += f"  {row.of_plain:.2f} of plain"
        if row.apart is not None:
            line += f"  apart {row.apart:.1e}"
        if row.sm_mhz is not None:
            line += f"  {row.sm_mhz} MHz"
        if row.tensor_pipe is not None:
            line += f"  tensor pipe {row.tensor_pipe:.0f} %"
        lines.append(line)
    return "\n".join(lines)


def _time(seconds: float) -> str:
    unit, scale = ("us", 1e6) if seconds < 1e-3 else ("ms", 1e3)
    return f"{seconds * scale:9.3f} {unit}"


def plot(report: Report, file: str) -> None:
    """Bars, a group for each problem.

    Raises:
        UnavailableError: matplotlib isn't installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        from .._errors import UnavailableError

        raise UnavailableError("--plot takes matplotlib: pip install matplotlib") from error
    problems = list(dict.fromkeys(row.problem for row in report.rows))
    peers = list(dict.fromkeys(row.peer for row in report.rows))
    figure, axes = pyplot.subplots(figsize=(max(6, 2.2 * len(problems)), 4.5), layout="constrained")
    for at, peer in enumerate(peers):
        rows = [row for row in report.rows if row.peer == peer]
        places = [problems.index(row.problem) + 0.8 * (at + 0.5) / len(peers) for row in rows]
        heights = [row.seconds * 1e6 if row.rate is None else row.rate for row in rows]
        axes.bar(places, heights, 0.8 / len(peers), label=peer)
    has_rates = any(row.rate is not None for row in report.rows)
    axes.set_ylabel("TFLOP/s, more is better" if has_rates else "us per call, less is better")
    if not has_rates:
        axes.set_yscale("log")  # from a launch to the first one of a process
    axes.set_xticks([i + 0.4 for i in range(len(problems))], problems, fontsize=8)
    axes.set_title(f"{report.title}\n{report.machine.get('device', '')}", fontsize=9)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=150)
