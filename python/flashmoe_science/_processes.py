"""Processes of this Python that use this package."""

from __future__ import annotations

import os
import sys


def environment() -> dict[str, str]:
    """What such a process needs to find the package, wherever this process has found it."""
    paths = [os.path.dirname(os.path.dirname(__file__)), *sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
