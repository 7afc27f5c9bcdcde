"""The tables of docs/attention-speed.md and docs/attention-options-speed.md."""

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
        own = rows.get(OURS)
        if own is None:  # it is among those that didn't run
            continue
        cells = [problem, *(_time(rows.get(peer)) for peer in [*ours.values(), *peers.values()])]
        for peer in peers.values():
            cells.append(f"{rows[peer].seconds / own.seconds:.2f}" if peer in rows else "")
        cells.append(f"{own.of_floor:.0%}" if own.of_floor is not None else "")
        cells.append(f"{own.sm_mhz}" if own.sm_mhz is not None else "")
        cells.append(f"{own.tensor_pipe:.0f}%" if own.tensor_pipe is not None else "")
        cells.append(f"{own.apart:.1e}" if own.apart is not None else "")
        lines.append("| " + " | ".join(cells) + " |")
    title = "# Speed of attention on tensor cores"
    return _page(title, _circumstances(report), lines, report)


def options_as_markdown(report: Report) -> str:
    """A row for each option, of what was measured so far."""
    head = ["shape", "ours", "FlexAttention", "x Flex", "of plain", "apart"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for problem in dict.fromkeys(row.problem for row in report.rows):
        rows = {row.peer: row for row in report.rows if row.problem == problem}
        own, flex = rows.get(OURS), rows.get("torch Flex")
        if own is None:
            continue
        cells = [problem, _time(own), _time(flex) or "-"]
        cells.append(f"{flex.seconds / own.seconds:.2f}" if flex is not None else "-")
        cells.append(f"{own.of_plain:.2f}" if own.of_plain is not None else "-")
        cells.append(f"{own.apart:.1e}" if own.apart is not None else "-")
        lines.append("| " + " | ".join(cells) + " |")
    said = (
        f"{_origin(report, 'attention --options --markdown')}\n{report.title}. Random normal "
        "inputs; the biases of a head\nare the same for all batches, documents are about 600 "
        "tokens long, and packed sequences are these\ndocuments. Ours and Flex take turns; times "
        "are in ms and TFLOP/s of the pairs of a query and a key that\nare seen. *x Flex*: "
        "FlexAttention's time over ours. *Of plain*: our TFLOP/s over those of the plain\nkernel, "
        "of the causal one under a causal mask, and for documents of the same documents packed.\n"
        "*Apart*: the largest difference from FlexAttention's result."
    )
    return _page("# Speed of attention's options on tensor cores", said, lines, report)


def _page(title: str, said: str, lines: list[str], report: Report) -> str:
    missing = "".join(f"- Not in this run: {name}: {why}\n" for name, why in report.missing.items())
    table = "\n".join(lines)
    return f"{title}\n\n{said}\n\n{table}\n\n{missing}"


def _time(row: Row | None) -> str:
    return "" if row is None else f"{row.seconds * 1e3:.4f} ms, {row.rate:.0f}"


def _origin(report: Report, command: str) -> str:
    machine = report.machine
    return (
        f"Written by `python -m flashmoe_science.bench {command}`: "
        f"{machine.get('device')}, driver {machine.get('driver', 'unknown')},\n"
        f"PyTorch {machine.get('torch')} with cuDNN {machine.get('cuDNN', 'unknown')}, "
        f"{machine['date']}, commit {machine['commit']}."
    )


def _circumstances(report: Report) -> str:
    peak = report.machine.get("matmul 8192, TFLOP/s", "?")
    metric = report.machine.get("tensor pipe")
    return (
        f"{_origin(report, 'attention --markdown')}\n{report.title}. Random normal inputs.\n"
        "The peers take turns; times are in ms and TFLOP/s (a causal mask halves the count). The\n"
        "ratios are of times: above 1 ours is faster. *Of the floor*: the time of the products "
        f"alone at the\n{peak} TFLOP/s that a matrix product of 8192 reaches in this run, over "
        "ours. *SM MHz*: the clock while\nours runs over and over. *Tensor pipe*: cycles in which "
        "it is busy, of those in which an SM is, by\nncu"
        + (f" (`{metric}`)" if metric else "")
        + ". *Apart*: the largest difference from cuDNN's result. A tile that was tuned on the "
        "machine is used."
    )
