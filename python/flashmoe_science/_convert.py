"""Arguments of kernels that the native module doesn't know by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from ._dtypes import OPAQUE, Pointer, Scalar, code_of_numpy

CPU = 1
CUDA = 2

# (address, DLPack's code, bits, device type, device, read-only, stream or -1, owner)
ArrayTuple = tuple[int, int, int, int, int, bool, int, object]
# (DLPack's code, bits, bytes)
NumberTuple = tuple[int, int, bytes]


def convert(argument: Any) -> ArrayTuple | NumberTuple | bytes | int | float:
    """What an argument is to a kernel.

    Common ones (PyTorch tensors, int, float, bool, None) don't come here.

    Raises:
        ArgumentError: nothing that a kernel can take.
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(argument) is numpy.ndarray:
        return _numpy_array(argument, not argument.flags.writeable)
    if isinstance(argument, Scalar):
        return argument.dtype.code, argument.dtype.bits, argument._bytes
    if isinstance(argument, Pointer):
        return argument.address, OPAQUE, 64, 0, 0, False, -1, argument
    if isinstance(argument, (bytes, bytearray, memoryview)):
        return bytes(argument)
    if numpy is not None:
        if isinstance(argument, numpy.ndarray):
            return _numpy_array(argument, not argument.flags.writeable)
        if isinstance(argument, numpy.generic):
            return (*code_of_numpy(argument.dtype), argument.tobytes())
    if isinstance(argument, int):
        return int(argument)
    if isinstance(argument, float):
        return float(argument)
    array = _array(argument)
    if array is None:
        from ._errors import ArgumentError

        raise ArgumentError(
            f"an argument of type {type(argument).__name__!r} can't be passed to a kernel: those "
            "take arrays, numbers, None, and bytes"
        )
    return array


def _numpy_array(array: Any, read_only: bool) -> ArrayTuple:
    code, bits = code_of_numpy(array.dtype)
    address = array.__array_interface__["data"][0]
    return address, code, bits, CPU, 0, read_only, -1, array


def _array(argument: Any) -> ArrayTuple | None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(argument, torch.Tensor):
        return _torch_array(torch, argument)
    is_jax = type(argument).__module__.partition(".")[0] in ("jax", "jaxlib")
    if is_jax:
        argument.block_until_ready()  # it has no stream to wait on
    interface = getattr(argument, "__cuda_array_interface__", None)
    if interface is not None:
        return _cuda_array(argument, interface, is_jax)
    if is_jax or hasattr(argument, "__array_interface__"):
        import numpy

        array = numpy.asarray(argument)
        return _numpy_array(array, is_jax or not array.flags.writeable)
    if hasattr(argument, "__dlpack__"):
        return _dlpack_array(argument)
    return None


def _torch_array(torch: Any, tensor: Any) -> ArrayTuple:
    """A tensor of a PyTorch that is too old for DLPack's exchange table (before 2.11)."""
    import numpy

    name = str(tensor.dtype).removeprefix("torch.")
    code, bits = _TORCH_CODES[name] if name in _TORCH_CODES else code_of_numpy(numpy.dtype(name))
    stream, device, index = -1, CPU, 0
    if tensor.is_cuda:
        device, index = CUDA, tensor.get_device()
        stream = torch.cuda.current_stream(index).cuda_stream
    return tensor.data_ptr(), code, bits, device, index, False, stream, tensor


_TORCH_CODES = {"bfloat16": (4, 16), "float8_e4m3fn": (10, 8), "float8_e5m2": (12, 8)}


def _cuda_array(argument: Any, interface: dict[str, Any], is_jax: bool) -> ArrayTuple:
    import numpy

    address, read_only = interface["data"]
    dtype = getattr(argument, "dtype", None)
    named = dtype if isinstance(dtype, numpy.dtype) else numpy.dtype(interface["typestr"])
    code, bits = code_of_numpy(named)
    return (
        address or 0, code, bits, CUDA, cuda_device_of(argument), bool(read_only) or is_jax,
        cuda_stream_of(argument, interface), argument,
    )  # fmt: skip


def cuda_device_of(argument: Any) -> int:
    """The ordinal of the device that an array is on; the protocol itself doesn't say."""
    describe = getattr(argument, "__dlpack_device__", None)
    if describe is not None:
        return int(describe()[1])
    device = getattr(argument, "device", None)
    return int(getattr(device, "id", 0) or 0)


def cuda_stream_of(argument: Any, interface: dict[str, Any] | None = None) -> int:
    """The stream that work on an array must be ordered on: its framework's current one."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(argument, cupy.ndarray):
        return int(cupy.cuda.get_current_stream().ptr)
    stream = (interface or {}).get("stream")
    return -1 if stream is None else int(stream)


def _dlpack_array(argument: Any) -> ArrayTuple:
    import tvm_ffi

    tensor = tvm_ffi.from_dlpack(argument)
    device, index = tensor.__dlpack_device__()
    name = str(tensor.dtype)
    import numpy

    code, bits = _TORCH_CODES[name] if name in _TORCH_CODES else code_of_numpy(numpy.dtype(name))
    return tensor.data_ptr(), code, bits, device, index, False, -1, tensor


def host_ranges(arguments: tuple[Any, ...]) -> list[tuple[int, int]]:
    """The memory, as (address, bytes), of those of a kernel's arguments that are CPU arrays."""
    torch = sys.modules.get("torch")
    ranges = []
    for argument in arguments:
        if torch is not None and isinstance(argument, torch.Tensor):
            if argument.device.type == "cpu":
                size = argument.element_size()
                strides = [size * stride for stride in argument.stride()]
                ranges.append(_range(argument.data_ptr(), argument.shape, strides, size))
        elif argument is not None:
            made = convert(argument)
            if isinstance(made, tuple) and len(made) == 8 and made[3] == CPU:
                ranges.append(_range_of_owner(made[0], made[-1]))
    return ranges


def _range_of_owner(address: int, owner: Any) -> tuple[int, int]:
    import numpy

    if not isinstance(owner, numpy.ndarray):
        owner = numpy.from_dlpack(owner)
    return _range(address, owner.shape, owner.strides, owner.itemsize)


def _range(
    address: int, shape: Iterable[int], strides: Iterable[int], size: int
) -> tuple[int, int]:
    """From the first to past the last byte of an array's elements; strides are in bytes."""
    first = last = address
    for extent, stride in zip(shape, strides):
        if extent == 0:
            return address, 0
        first += min(0, (extent - 1) * stride)
        last += max(0, (extent - 1) * stride)
    return first, last + size - first


def stream_handle(stream: Any) -> int:
    """The CUstream of any framework's stream object, or of a handle.

    Raises:
        ArgumentError: it is no stream.
    """
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        version_and_handle = protocol() if callable(protocol) else protocol
        return int(version_and_handle[1])
    for name in ("cuda_stream", "ptr", "handle"):
        handle = getattr(stream, name, None)
        if isinstance(handle, int):
            return handle
    if isinstance(stream, int) and not isinstance(stream, bool) and stream >= 0:
        return stream
    from ._errors import ArgumentError

    raise ArgumentError(f"{stream!r} is no CUDA stream: pass a framework's stream, or its handle")
