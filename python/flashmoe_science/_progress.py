"""How far a long run has come, on standard error."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType


class Progress:
    """A bar that redraws itself on a terminal, a line every five seconds and a last one elsewhere.

    For one thread at a time.

    Args:
        total: how much there is to do.
        shown: False: it says nothing.
    """

    def __init__(self, total: int, shown: bool = True) -> None:
        self._total, self._enabled = total, shown
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.erase()

    def update(self, done: int, doing: str) -> None:
        """`doing` is what is worked on now."""
        if not self._enabled:
            return
        now = time.monotonic()
        if not self._terminal:
            if now - self._shown >= 5 or done == self._total:
                seconds = int(now - self._started)
                print(f"{done} of {self._total} after {seconds} s: {doing}", file=sys.stderr)
                self._shown = now
            return
        filled = 24 * done // max(self._total, 1)
        line = f"[{'#' * filled}{'.' * (24 - filled)}] {done}/{self._total} {doing}"
        columns = shutil.get_terminal_size().columns - 1
        print(f"\r{line[:columns]}\x1b[K", end="", file=sys.stderr, flush=True)
        self._drawn = True

    def erase(self) -> None:
        """Takes the bar away, so that something else can be printed."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self._drawn = False
