"""What this process compiles with: options, offline mode, manifests."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from . import _sources
from ._native import native

_options: dict[str, Any] = {}


class _Change:
    """A change of the session's options. In a ``with`` statement it ends with it."""

    def __init__(self, changes: dict[str, Any]) -> None:
        global _options
        self._before = _options
        merged = {**_options, **changes}
        self._state = native.configure(merged)
        _options = merged

    def restore(self) -> None:
        """Goes back to the options before."""
        global _options
        if self._state is None:
            return
        state, self._state = self._state, None
        native.restore(state)
        _options = self._before

    def __enter__(self) -> _Change:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()


def configure(
    *,
    cache_dir: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    cache_max_bytes: int | None = None,
    offline: bool | None = None,
    policy: str | None = None,
    target: str | None = None,
    dump_dir: str | os.PathLike[str] | None = None,
    lineinfo: bool | None = None,
    sanitize: str | None = None,
    log_level: str | None = None,
    nvrtc: str | os.PathLike[str] | None = None,
    llvm: str | os.PathLike[str] | None = None,
) -> _Change:
    """Sets options of this process, from now on or for a ``with`` statement.

    What isn't given stays as it is: at first, as the environment has it.

    Args:
        cache_dir: the folder of compiled kernels, or several: the first that can be written is
            written, the others are read. Absolute. (``FMS_CACHE_DIR``)
        cache_max_bytes: size over which old kernels are evicted; 0: no limit.
        offline: True: a kernel that isn't in the store is an :class:`OfflineError`.
        policy: ``"auto"``, ``"exact"`` or ``"dynamic"``: see :func:`jit`.
        target: compile for this one instead of the device's own: ``"cuda:sm_90a"``.
        dump_dir: folder for sources, code and logs of what is compiled.
        lineinfo: True: kernels carry line numbers, for profilers and debuggers.
        sanitize: what kernels for a CPU check as they run: ``"address"``, ``"undefined"``,
            ``"thread"``, or several with commas. ``"address"`` allows the elements of the arrays
            that a launch is given, and what lies between them; no memory behind :func:`pointer`.
            :func:`attention` on the CPU refuses it; on a GPU it then looks at cu_seqlens_q and
            cu_seqlens_k, for which it waits for the device.
        log_level: ``"debug"``, ``"info"``, ``"warn"``, ``"error"`` or ``"off"``.
        nvrtc: the NVRTC library, or a folder to look for it in.
        llvm: the LLVM library, libfms_llvm.so.

    Raises:
        InvalidArgumentError: an option has no such value.
    """
    if cache_dir is None:
        folders = None
    elif isinstance(cache_dir, (str, os.PathLike)):
        folders = os.fspath(cache_dir)
    else:
        folders = ":".join(os.fspath(folder) for folder in cache_dir)
    given = {
        "cache_dirs": folders,
        "cache_max_bytes": None if cache_max_bytes is None else str(cache_max_bytes),
        "offline": offline,
        "policy": policy,
        "target": target,
        "dump_dir": None if dump_dir is None else os.fspath(dump_dir),
        "lineinfo": lineinfo,
        "sanitize": sanitize,
        "log_level": log_level,
        "nvrtc": None if nvrtc is None else os.fspath(nvrtc),
        "llvm": None if llvm is None else os.fspath(llvm),
    }
    return _Change({name: value for name, value in given.items() if value is not None})


def current_options() -> dict[str, Any]:
    """What configure() has set, as the native module takes it."""
    return _options


def checks_addresses() -> bool:
    """Whether what could make a kernel leave its arrays is looked for, at the price of waiting."""
    named = _options.get("sanitize")
    return "address" in (os.environ.get("FMS_SANITIZE", "") if named is None else named)


def offline(enabled: bool = True) -> _Change:
    """From now on, or for a ``with`` statement: compile nothing.

    A kernel that is neither loaded by a prepared handle nor in the store is then an
    :class:`OfflineError` that names it.
    """
    return _Change({"offline": enabled})


class _Recording(_Change):
    """A manifest that is being written."""

    def __init__(self, manifest: str) -> None:
        self.path = Path(manifest).absolute()
        super().__init__({"record": str(self.path)})

    def restore(self) -> None:
        recording = self._state is not None
        super().restore()
        if recording:
            _keep_sources(self.path)


def record(manifest: str | os.PathLike[str] = "kernels.jsonl") -> _Recording:
    """From now on, or for a ``with`` statement: notes every kernel that is asked for.

    Sources that were given as text are written beside the manifest when it ends, and files are
    named by their paths, so that :func:`warm` finds both. What they include must lie beside them.

    Args:
        manifest: the file, to which each is appended once: JSON lines, for :func:`warm` and for
            ``fms warm``.
    """
    return _Recording(os.fspath(manifest))


def _keep_sources(manifest: Path) -> None:
    """Lets the manifest name files: where they are, or where texts are written now."""
    if not manifest.exists():
        return
    before = manifest.read_text()
    lines = [_with_source(manifest.parent, line) for line in before.splitlines()]
    after = "".join(f"{line}\n" for line in lines)
    if after != before:
        new = manifest.with_name(manifest.name + ".new")
        new.write_text(after)
        new.replace(manifest)


def _with_source(folder: Path, line: str) -> str:
    if not line.startswith("{"):
        return line
    entry = json.loads(line)
    name = entry.get("template", "")
    source, file = _sources.find(name), _sources.find_file(name)
    if source is None and file is None:
        return line
    if _sources.is_ambiguous(name):
        warnings.warn(
            f"several sources are called {name}: the manifest in {folder} can't tell them apart; "
            "give their kernels different names",
            stacklevel=4,
        )
    if source is not None:
        (folder / name).write_text(source.text)
        return line
    entry["template"] = file
    return json.dumps(entry)


def wait_for_background() -> None:
    """Waits until no exact variant is being compiled behind."""
    native.wait_for_background()
