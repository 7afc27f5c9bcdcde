"""XLA's foreign functions, in ctypes: what a custom call is handed, and how it answers.

The structures are those of ``xla/ffi/api/c_api.h``, which only ever grow at their ends. Nothing of
XLA is linked, and no header of its is needed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from ._convert import CPU, CUDA
from ._dtypes import BFLOAT, BOOL, FLOAT, INT, UINT
from ._errors import UnsupportedError

# XLA's element types: (DLPack's code, bits).
_TYPES = {
    1: (BOOL, 8), 2: (INT, 8), 3: (INT, 16), 4: (INT, 32), 5: (INT, 64), 6: (UINT, 8),
    7: (UINT, 16), 8: (UINT, 32), 9: (UINT, 64), 10: (FLOAT, 16), 11: (FLOAT, 32), 12: (FLOAT, 64),
    16: (BFLOAT, 16),
}  # fmt: skip
_SCALARS: dict[int, Any] = {4: c_int32, 5: c_int64, 12: ctypes.c_double}
_METADATA = 1
_SCALAR, _STRING = 3, 4
_INVALID_ARGUMENT, _UNIMPLEMENTED, _INTERNAL = 3, 12, 13


_HEAD = (("struct_size", c_size_t), ("extension_start", c_void_p))


class _Version(Structure):
    _fields_ = (*_HEAD, ("major", c_int), ("minor", c_int))


class _Metadata(Structure):
    _fields_ = (
        ("struct_size", c_size_t), ("api_version", _Version), ("traits", ctypes.c_uint32),
        ("state_type_id", c_int64),
    )  # fmt: skip


class _Extension(Structure):
    _fields_ = (
        ("struct_size", c_size_t), ("type", c_int), ("next", c_void_p),
        ("metadata", POINTER(_Metadata)),  # where the type is _METADATA
    )  # fmt: skip


class _Api(Structure):
    _fields_ = (
        *_HEAD, ("api_version", _Version), ("internal_api", c_void_p),
        ("error_create", c_void_p), ("error_get_message", c_void_p), ("error_destroy", c_void_p),
        ("handler_register", c_void_p), ("stream_get", c_void_p), ("others", c_void_p * 12),
        ("device_ordinal_get", c_void_p),
    )  # fmt: skip


class _List(Structure):
    _fields_ = (*_HEAD, ("size", c_int64), ("types", POINTER(c_int)), ("items", POINTER(c_void_p)))


class _Span(Structure):
    _fields_ = (("ptr", c_void_p), ("len", c_size_t))


class _Attributes(Structure):
    _fields_ = (
        *_HEAD, ("size", c_int64), ("types", POINTER(c_int)), ("names", POINTER(POINTER(_Span))),
        ("items", POINTER(c_void_p)),
    )  # fmt: skip


class _Scalar(Structure):
    _fields_ = (("dtype", c_int), ("value", c_void_p))


class _Buffer(Structure):
    _fields_ = (
        *_HEAD, ("dtype", c_int), ("data", c_void_p), ("rank", c_int64), ("dims", POINTER(c_int64)),
    )  # fmt: skip


class _Frame(Structure):
    _fields_ = (
        *_HEAD, ("api", POINTER(_Api)), ("ctx", c_void_p), ("stage", c_int), ("args", _List),
        ("rets", _List), ("attrs", _Attributes),
    )  # fmt: skip


class _ErrorArguments(Structure):
    _fields_ = (*_HEAD, ("message", c_char_p), ("code", c_int))


class _StreamArguments(Structure):
    _fields_ = (*_HEAD, ("ctx", c_void_p), ("stream", c_void_p))


class _OrdinalArguments(Structure):
    _fields_ = (*_HEAD, ("ctx", c_void_p), ("device_ordinal", c_int32))


_Call = ctypes.CFUNCTYPE(c_void_p, c_void_p)
_Handler = ctypes.CFUNCTYPE(c_void_p, POINTER(_Frame))


class _Tensor(Structure):  # DLTensor
    _fields_ = (
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", c_void_p), ("strides", c_void_p), ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


class _Managed(Structure):  # DLManagedTensor
    _fields_ = (("tensor", _Tensor), ("manager_ctx", c_void_p), ("deleter", c_void_p))


# A prototype of its own: ctypes.pythonapi.PyCapsule_New is everybody's.
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, c_char_p, c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_no_deleter = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)


class Buffer:
    """A buffer of XLA's, for as long as the call lasts: dense, with DLPack's protocol."""

    def __init__(self, address: int, device: tuple[int, int]) -> None:
        self._buffer = _Buffer.from_address(address)
        self._device = device
        code, bits = _TYPES.get(self._buffer.dtype, (None, None))
        if code is None:
            raise TypeError(f"kernels know no elements of XLA's type number {self._buffer.dtype}")
        self._managed = _Managed(
            _Tensor(
                self._buffer.data, *device, self._buffer.rank, code, bits, 1,
                ctypes.cast(self._buffer.dims, c_void_p), None, 0,
            ),
            None, ctypes.cast(_no_deleter, c_void_p),
        )  # fmt: skip

    @property
    def address(self) -> int:
        """Of its first element; 0 if it has none."""
        return self._buffer.data or 0

    @property
    def shape(self) -> tuple[int, ...]:
        """As NumPy has it."""
        return tuple(self._buffer.dims[i] for i in range(self._buffer.rank))

    def __dlpack__(self, **options: Any) -> Any:
        return _new_capsule(ctypes.addressof(self._managed), b"dltensor", None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


class Call:
    """One call: its arguments, results and attributes.

    Attributes:
        arguments: buffers to be read.
        results: buffers to be written.
        attributes: what the call was traced with, by name: numbers and strings.
        stream: a CUDA stream's handle; 0 on the CPU.
    """

    def __init__(self, frame: Any, platform: int) -> None:
        self._frame = frame
        self.stream = 0
        ordinal = 0
        if platform == CUDA:
            asked = _StreamArguments(ctypes.sizeof(_StreamArguments), None, frame.ctx, None)
            _ask(frame.api.contents.stream_get, asked)
            self.stream = asked.stream or 0
            if frame.api.contents.struct_size >= ctypes.sizeof(_Api):
                which = _OrdinalArguments(ctypes.sizeof(_OrdinalArguments), None, frame.ctx, 0)
                _ask(frame.api.contents.device_ordinal_get, which)
                ordinal = which.device_ordinal
        device = (platform, ordinal)
        self.arguments = [Buffer(frame.args.items[i], device) for i in range(frame.args.size)]
        self.results = [Buffer(frame.rets.items[i], device) for i in range(frame.rets.size)]
        self.attributes = dict(_attribute(frame.attrs, i) for i in range(frame.attrs.size))


def _ask(function: int, arguments: Structure) -> None:
    if _Call(function)(ctypes.addressof(arguments)):
        raise RuntimeError("XLA doesn't say on which stream or device the call is")


def _text(span: Any) -> str:
    return ctypes.string_at(span.ptr, span.len).decode() if span.len else ""


def _attribute(attributes: Any, index: int) -> tuple[str, Any]:
    name = _text(attributes.names[index].contents)
    kind, address = attributes.types[index], attributes.items[index]
    if kind == _STRING:
        return name, _text(_Span.from_address(address))
    scalar = _Scalar.from_address(address)
    if kind != _SCALAR or scalar.dtype not in _SCALARS:
        raise TypeError(f"the attribute {name!r} is neither a number nor a string")
    return name, _SCALARS[scalar.dtype].from_address(scalar.value).value


_kept: list[Any] = []  # handlers are called for as long as the process lives


def register(jax: Any, target: str, compute: Callable[[Call], None]) -> None:
    """Makes `target` a custom call of XLA's on the CPU and on CUDA, computed by `compute`."""
    for platform, name in ((CPU, "cpu"), (CUDA, "CUDA")):
        handler = _handler(jax, compute, platform)
        _kept.append(handler)
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(handler), platform=name)


def _handler(jax: Any, compute: Callable[[Call], None], platform: int) -> Any:
    def handle(pointer: Any) -> int | None:
        frame = pointer.contents
        try:
            if frame.extension_start:
                extension = _Extension.from_address(frame.extension_start)
                if extension.type == _METADATA:
                    _describe(extension.metadata.contents, frame, jax)
                    return None
            compute(Call(frame, platform))
            return None
        except BaseException as error:  # none may cross into XLA
            made = _ErrorArguments(
                ctypes.sizeof(_ErrorArguments), None, str(error).encode(), _code_of(error)
            )
            return _Call(frame.api.contents.error_create)(ctypes.addressof(made))

    return _Handler(handle)


def _code_of(error: BaseException) -> int:
    if isinstance(error, (ValueError, TypeError)):
        return _INVALID_ARGUMENT
    return _UNIMPLEMENTED if isinstance(error, UnsupportedError) else _INTERNAL


def _describe(metadata: Any, frame: Any, jax: Any) -> None:
    if frame.api:
        version = frame.api.contents.api_version
        metadata.api_version.major, metadata.api_version.minor = version.major, version.minor
    else:  # JAX 0.6, which wants the version that its header has
        header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text()
        found = re.findall(r"#define XLA_FFI_API_(?:MAJOR|MINOR) (\d+)", header)
        metadata.api_version.major, metadata.api_version.minor = map(int, found)
    metadata.traits = 0
    if metadata.struct_size >= ctypes.sizeof(_Metadata):
        metadata.state_type_id = 0
