"""What goes wrong, as exceptions: one class for each of the runtime's error codes.

Each is a :class:`Error`, and also the built-in exception that a Python user would expect.
"""

from __future__ import annotations

import builtins

from . import _sources


class Error(Exception):
    """A failure of the runtime.

    Attributes:
        code: which kind, as the C++ library and ``--json`` name it: ``"compile_failed"``.
        message: one line: what was being done, to what, and what to do next.
        detail: more, for logs: a compiler's output, say. May be empty.
    """

    code = "internal"

    def __init__(self, message: str = "", detail: str = "") -> None:
        # Not super().__init__(message), of which torch.compile makes an error of its own.
        self.args = (message,)
        self.message = message
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message}\n\n{self.detail}" if self.detail else self.message

    def __reduce__(self) -> tuple[type[Error], tuple[str, str]]:
        # Those that tvm-ffi raises are of a class that has no name to be found by.
        return _BY_CODE.get(self.code, type(self)), (self.message, self.detail)


class InvalidArgumentError(Error, ValueError):
    """Something was asked for that can't be: a bad value, name or file."""

    code = "invalid_argument"


class ArgumentError(Error, TypeError):
    """An argument of a call has the wrong type, or there are too many or too few."""

    code = "argument"


class NotFoundError(Error, LookupError):
    """A named thing doesn't exist."""

    code = "not_found"


class UnsupportedError(Error, RuntimeError):
    """Valid, but this target, device or version can't do it."""

    code = "unsupported"


class UnavailableError(Error, RuntimeError):
    """A library or device that the work needs isn't on this machine."""

    code = "unavailable"


class CompileError(Error, RuntimeError):
    """The compiler refused the source. The detail has the lines and the whole log."""

    code = "compile_failed"


class RejectedError(CompileError):
    """The source compiles, but spills registers or serialises wgmma."""

    code = "rejected"


class CancelledError(Error, RuntimeError):
    """Somebody asked to stop."""

    code = "cancelled"


class TimeoutError(Error, builtins.TimeoutError):
    """It took too long."""

    code = "timeout"


class OfflineError(Error, RuntimeError):
    """It would have to compile, and may not."""

    code = "offline"


class CapturingError(Error, RuntimeError):
    """Not allowed while a CUDA graph is captured: prepare the kernel before."""

    code = "capturing"


class DriverError(Error, RuntimeError):
    """The CUDA driver, or a kernel on the CPU, failed."""

    code = "driver"


class IoError(Error, OSError):
    """A file or the store can't be read or written."""

    code = "io"


class CorruptError(Error, ValueError):
    """Bytes that fail their checksum or don't parse."""

    code = "corrupt"


class OutOfMemoryError(Error, MemoryError):
    """There is no memory left for it."""

    code = "out_of_memory"


class InternalError(Error, RuntimeError):
    """A mistake of this library. Please report it."""

    code = "internal"


_BY_CODE: dict[str, type[Error]] = {
    each.code: each
    for each in (
        InvalidArgumentError, ArgumentError, NotFoundError, UnsupportedError, UnavailableError,
        CompileError, RejectedError, CancelledError, TimeoutError, OfflineError, CapturingError,
        DriverError, IoError, CorruptError, OutOfMemoryError, InternalError,
    )
}  # fmt: skip


for _each in (Error, *_BY_CODE.values()):
    _each.__module__ = "flashmoe_science"  # as tracebacks show them


def make_error(code: str, message: str, detail: str) -> Error:
    """The exception for a failure of the native library."""
    if code in ("compile_failed", "rejected", "invalid_argument", "driver"):
        message, detail = _sources.point_at_python(message, detail)
    return _BY_CODE.get(code, InternalError)(message, detail)


def error_of_tvm_ffi(code: str) -> type[Error]:
    """A class that tvm-ffi can raise: from one text, in which message and detail are joined."""

    def init(self: Error, joined: str = "", detail: str = "") -> None:
        message, separator, more = joined.partition("\x1e")
        if separator:
            message, detail = _sources.point_at_python(message, more)
        Error.__init__(self, message, detail)

    base = _BY_CODE[code]
    made = type(base.__name__, (base,), {"__init__": init, "__module__": base.__module__})
    made.__qualname__ = base.__qualname__
    made.__doc__ = base.__doc__
    return made


def codes() -> list[str]:
    """All error codes that have a class."""
    return list(_BY_CODE)
