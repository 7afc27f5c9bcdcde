"""Compiling all that a manifest asks for, ahead of time, in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import _session
from ._errors import CancelledError, Error, make_error
from ._native import native
from ._processes import environment
from ._progress import Progress

_ATTEMPTS = 2  # of a kernel of which a worker dies


@dataclass(frozen=True)
class WarmReport:
    """What :func:`warm` did.

    Attributes:
        kernels: asked for, over all targets.
        compiled: of those, by this call.
        present: of those, in the store before, or brought there by another process meanwhile.
        failures: for each that failed: ``specialization``, ``target``, ``code``, ``message``,
            ``detail``.
    """

    kernels: int
    compiled: int
    present: int
    failures: list[dict[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.failures


def warm(
    manifest: str | os.PathLike[str],
    *,
    target: str | Iterable[str] | None = None,
    jobs: int | None = None,
    progress: bool | None = None,
) -> WarmReport:
    """Has every kernel of a manifest compiled and in the store. Needs no GPU.

    Kernels are compiled in processes of their own, since a compiler uses one core of a process. A
    kernel that fails doesn't stop the others. Ctrl-C ends it; what was compiled by then is kept.

    Args:
        manifest: written by :func:`record` or by hand.
        target: what to compile for, as ``"cuda:sm_90a"`` or ``"cpu"``, or several. None: this
            machine's GPU, or else its CPU.
        jobs: processes that compile. None: ``FMS_MAX_JOBS``, or one for each core. 1: this process
            does it.
        progress: show how far it is, on the standard error. None: if that is a terminal.

    Raises:
        IoError, InvalidArgumentError: the manifest can't be read.
    """
    if target is None:
        count = native.device_count()
        target = native.device(2, 0)["target"] if count > 0 else "cpu"
    targets = (target,) if isinstance(target, str) else tuple(target)
    shown = sys.stderr.isatty() if progress is None else progress
    work = _Work(os.fspath(manifest), targets, shown)
    jobs = jobs or native.options()["max_jobs"] or len(os.sched_getaffinity(0))
    jobs = min(jobs, len(work.left))
    with work.progress:
        if jobs > 1:
            _work_in_processes(work, jobs)
        else:
            work.do_all(lambda index: native.warm_kernel(work.plan, index))
    return WarmReport(len(work.kernels), work.compiled, work.present, work.failures)


class _Work:
    """The kernels of a manifest, and what has become of them. Thread-safe."""

    def __init__(self, manifest: str, targets: tuple[str, ...], shown: bool) -> None:
        plan = native.warm_plan(manifest, targets)
        self.manifest, self.targets, self.plan = manifest, targets, plan["handle"]
        self.kernels: list[tuple[str, str, bool]] = plan["kernels"]
        self.failures: list[dict[str, str]] = plan["failures"]
        self.left = [i for i, (_, _, present) in enumerate(self.kernels) if not present][::-1]
        self.present = len(self.kernels) - len(self.left)
        self.compiled = 0
        self.progress, self._done = Progress(len(self.left), shown), 0
        self._lock = threading.Lock()

    def do_all(self, compile: Any) -> None:
        """Takes one kernel after the other. `compile` gives whether it compiled it, or raises."""
        while (index := self._take()) is not None:
            try:
                compiled = compile(index)
            except Error as error:
                self._note(index, (error.code, error.message, error.detail))
            else:
                self._note(index, compiled)

    def _take(self) -> int | None:
        with self._lock:
            return self.left.pop() if self.left else None

    def stop(self) -> None:
        with self._lock:
            self.left.clear()

    def _note(self, index: int, outcome: bool | tuple[str, str, str]) -> None:
        specialization, target, _ = self.kernels[index]
        with self._lock:
            if isinstance(outcome, tuple):
                names = ("specialization", "target", "code", "message", "detail")
                self.failures.append(dict(zip(names, (specialization, target, *outcome))))
            elif outcome:
                self.compiled += 1
            else:
                self.present += 1
            self._done += 1
            self.progress.update(self._done, f"warmed {specialization}")


def _work_in_processes(work: _Work, jobs: int) -> None:
    workers = [_Worker(work) for _ in range(jobs)]
    threads = [threading.Thread(target=work.do_all, args=(each.compile,)) for each in workers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C: threads end once their workers do
        work.stop()
        for worker in workers:
            worker.kill()
        for thread in threads:
            thread.join()
        raise
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A process of :mod:`._warm_worker`, started at its first kernel and again if it dies."""

    def __init__(self, work: _Work) -> None:
        self._order = json.dumps([work.manifest, work.targets, _session.current_options()])
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def compile(self, index: int) -> bool:
        for attempt in range(_ATTEMPTS):
            answer = self._ask(index)
            if answer:
                break
            code = self.close()
            if self._killed:
                raise CancelledError("warming was stopped")
        else:
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            raise Error(f"the compiling process died of it {_ATTEMPTS} times, the last by {how}")
        outcome = json.loads(answer)
        if isinstance(outcome, bool):
            return outcome
        raise make_error(outcome["code"], outcome["message"], outcome["detail"])

    def _ask(self, index: int) -> str:
        """The worker's answer; empty if it has died."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}._warm_worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=environment(),
                start_new_session=True,  # Ctrl-C is this process's to answer
            )  # fmt: skip
            self._send(self._order)
        self._send(str(index))
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _send(self, line: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, as the missing answer will tell

    def kill(self) -> None:
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> int:
        """Ends the worker if there is one, and gives its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.communicate()
        return process.returncode
