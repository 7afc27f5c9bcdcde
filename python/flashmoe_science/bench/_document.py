"""The table of docs/attention-speed.md."""

from __future__ import annotations

from ._peers import OURS, OURS_DYNAMIC
from ._report import Report, Row

# As the table's columns name them.
_PEERS = {
    "cuDNN": "torch cuDNN",
    "FA2": "torch flash (FA2)",
    "Flex": "torch Flex",
    "efficient": "torch efficient",
    "math": "torch math",
}


def as_markdown(report: Report) -> str:
    """A row for each shape, of what was measured so far."""
    here = {row.peer for row in report.rows}
    peers = {name: peer for name, peer in _PEERS.items() if peer in here}
    ours = {"ours, exact": OURS, "ours, dynamic": OURS_DYNAMIC}
    head = ["shape", *ours, *peers, *(f"x {name}" for name in peers)]
    head += ["of the floor", "SM MHz", "tensor pipe", "apart"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for problem in dict.fromkeys(row.problem for row in report.rows):
        rows = {row.peer: row for row in report.rows if row.problem == problem}
        own = rows[OURS]
        cells = [problem, *(_time(rows.get(peer)) for peer in [*ours.values(), *peers.values()])]
        for peer in peers.values():
            cells.append(f"{rows[peer].seconds / own.seconds:.2f}" if peer in rows else "")
        cells.append(f"{own.of_floor:.0%}" if own.of_floor is not None else "")
        cells.append(f"{own.sm_mhz}" if own.sm_mhz is not None else "")
        cells.append(f"{own.tensor_pipe:.0f}%" if own.tensor_pipe is not None else "")
        cells.append(f"{own.apart:.1e}" if own.apart is not None else "")
        lines.append("| " + " | ".join(cells) + " |")
    missing = "".join(f"- Not in this run: {name}: {why}\n" for name, why in report.missing.items())
    table = "\n".join(lines)
    title = "# Speed of attention on tensor cores"
    return f"{title}\n\n{_circumstances(report)}\n\n{table}\n\n{missing}"


def _time(row: Row | None) -> str:
    return "" if row is None else f"{row.seconds * 1e3:.4f} ms, {row.rate:.0f}"


def _circumstances(report: Report) -> str:
    machine = report.machine
    peak = machine.get("matmul 8192, TFLOP/s", "?")
    return (
        "Written by `python -m flashmoe_science.bench attention --markdown`: "
        f"{machine.get('device')}, driver {machine.get('driver', 'unknown')},\n"
        f"PyTorch {machine.get('torch')} with cuDNN {machine.get('cuDNN', 'unknown')}, "
        f"{machine['date']}, commit {machine['commit']}.\n{report.title}. Random normal inputs.\n"
        "The peers take turns; times are in ms and TFLOP/s (a causal mask halves the count). The\n"
        "ratios are of times: above 1 ours is faster. *Of the floor*: the time of the products "
        f"alone at the\n{peak} TFLOP/s that a matrix product of 8192 reaches in this run, over "
        "ours. *SM MHz*: the clock while\nours runs over and over. *Tensor pipe*: cycles in which "
        "it is busy, of those in which an SM is, by\nncu. *Apart*: the largest difference from "
        "cuDNN's result. A tile that was tuned on the machine is used."
    )
