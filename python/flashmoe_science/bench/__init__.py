"""Measures attention and launches beside every peer that is installed, in one run.

``python -m flashmoe_science.bench attention`` and ``... jit``; ``--json`` for programs, ``--plot
out.png`` for people. Peers that aren't here are named, with the reason.
"""
