"""The store of compiled kernels, on disk."""

from __future__ import annotations

import os
from typing import Any

from ._native import native

__all__ = ["clear", "entries", "export", "gc", "load", "stats", "verify"]


def stats() -> dict[str, dict[str, Any]]:
    """Counts.

    Returns:
        ``process``: since this process began or its options changed: ``loaded_hits``,
        ``store_hits``, ``compiles``, ``failures``, ``waits`` (for another process's compile),
        ``background_compiles``, ``dynamic_served``, ``compile_ms``, ``wait_ms``, ``load_us``.
        ``store``: over all processes, since it was made: ``entries`` and ``bytes`` now, ``hits``,
        ``misses``, ``compiles``, ``evicted``, ``corrupt_removed``, ``compile_ms_spent``,
        ``compile_ms_saved``, and others. Empty if there is no store that can be written.
    """
    from ._errors import UnavailableError

    process = native.stats()
    try:
        return {"process": process, "store": native.store_stats()}
    except UnavailableError:
        return {"process": process, "store": {}}


def entries() -> list[dict[str, Any]]:
    """Each entry: ``key``, ``template``, ``specialization``, ``target``, ``bytes``, and more."""
    return native.store_list()


def verify() -> dict[str, Any]:
    """Reads every record, and removes those that are damaged.

    Returns:
        ``checked``, ``corrupt``, and ``messages``: one for each damaged record.
    """
    return native.store_verify()


def gc(max_bytes: int | None = None) -> dict[str, Any]:
    """Evicts what is of least use, until the store is well below its limit, or `max_bytes`.

    Returns:
        ``ran`` (False: another process is at it), ``evicted``, ``bytes_freed``.
    """
    return native.store_gc(-1 if max_bytes is None else max_bytes)


def clear() -> int:
    """Removes every entry, and says how many there were."""
    return native.store_clear()


def export(bundle: str | os.PathLike[str]) -> int:
    """Writes all entries to one file, and says how many there are."""
    return native.store_export(os.fspath(bundle))


def load(bundle: str | os.PathLike[str], *, trust_host_code: bool = False) -> dict[str, Any]:
    """Adds the entries of a bundle to the store: all, or none if one is damaged.

    Args:
        bundle: written by :func:`export` or ``fms cache export``.
        trust_host_code: take code for CPUs too. It will be executed with your rights: say so only
            of a bundle that you made.

    Returns:
        ``added``, ``present``, ``host_code_skipped``.
    """
    return native.store_import(os.fspath(bundle), trust_host_code)
