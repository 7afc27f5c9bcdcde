"""What attention asks of the framework that its arrays come from."""

from __future__ import annotations

import sys
from typing import Any, Protocol

from ._convert import cuda_stream_of
from ._errors import ArgumentError, UnsupportedError


class Framework(Protocol):
    """How to make arrays like those given, and to pass them on."""

    def dtype_name(self, array: Any) -> str:
        """``"float32"``, ``"bfloat16"``, ..."""
        ...

    def is_cuda(self, array: Any) -> bool:
        """Whether it is in a GPU's memory."""
        ...

    def check(self, name: str, array: Any) -> None:
        """Raises if kernels can't take this array."""
        ...

    def empty_like(self, array: Any) -> Any:
        """An array of the same shape, type, device, and order of strides."""
        ...

    def empty_lse(self, array: Any, shape: tuple[int, ...]) -> Any:
        """A contiguous float32 array on the same device."""
        ...

    def empty(self, array: Any, shape: tuple[int, ...]) -> Any:
        """A contiguous array of the same type and device."""
        ...

    def empty_int32(self, array: Any, size: int) -> Any:
        """So many int32 on the same device."""
        ...

    def place(self, array: Any) -> Any:
        """The device that it is on."""
        ...

    def address(self, array: Any) -> int:
        """Of its first element."""
        ...

    def is_contiguous(self, array: Any) -> bool:
        """Whether elements lie one behind the other, in C's order."""
        ...

    def broadcast_strides(self, array: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Strides, in elements, of the array as broadcast to the shape; ValueError if it can't."""
        ...

    def numbers(self, array: Any) -> list[int]:
        """Its elements; waits for the device."""
        ...

    def exported(self, array: Any) -> Any:
        """What tvm-ffi takes for it."""
        ...

    def named_dtype(self, array: Any) -> str:
        """What its elements are, if the exported array can't say it; else ``""``."""
        ...

    def stream(self, array: Any) -> int:
        """The stream to work on; -1: tvm-ffi finds the framework's current one itself."""
        ...


def refuse_gradient(torch: Any, name: str, tensor: Any) -> None:
    """Raises where autograd would expect a gradient, and get none."""
    if tensor.requires_grad and torch.is_grad_enabled():
        raise UnsupportedError(
            f"{name} requires a gradient, and the backward pass isn't here yet: call this "
            "under torch.no_grad(), or with tensors that are detached"
        )


class _Torch:
    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def dtype_name(self, array: Any) -> str:
        return str(array.dtype).removeprefix("torch.")

    def is_cuda(self, array: Any) -> bool:
        return bool(array.is_cuda)

    def check(self, name: str, array: Any) -> None:
        if array.device.type not in ("cpu", "cuda", "meta"):
            raise UnsupportedError(f"{name} is on {array.device}: kernels run on CUDA and the CPU")
        if array.layout is not self._torch.strided:
            raise UnsupportedError(f"{name} is a tensor of layout {array.layout}: pass a dense one")
        refuse_gradient(self._torch, name, array)

    def empty_like(self, array: Any) -> Any:
        return self._torch.empty_like(array)

    def empty_lse(self, array: Any, shape: tuple[int, ...]) -> Any:
        return self._torch.empty(shape, dtype=self._torch.float32, device=array.device)

    def empty(self, array: Any, shape: tuple[int, ...]) -> Any:
        return array.new_empty(shape)

    def empty_int32(self, array: Any, size: int) -> Any:
        return self._torch.empty(size, dtype=self._torch.int32, device=array.device)

    def place(self, array: Any) -> Any:
        return array.device

    def address(self, array: Any) -> int:
        return int(array.data_ptr())

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.is_contiguous())

    def broadcast_strides(self, array: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        try:
            return tuple(array.expand(shape).stride())
        except RuntimeError as error:
            raise ValueError(str(error)) from None

    def numbers(self, array: Any) -> list[int]:
        return list(array.tolist())

    def exported(self, array: Any) -> Any:
        return array.detach() if array.requires_grad else array

    def named_dtype(self, array: Any) -> str:
        return ""

    def stream(self, array: Any) -> int:
        return -1


class _NumPy:
    def __init__(self, numpy: Any) -> None:
        self._numpy = numpy

    def dtype_name(self, array: Any) -> str:
        return str(array.dtype.name)

    def is_cuda(self, array: Any) -> bool:
        return False

    def check(self, name: str, array: Any) -> None:
        if not array.dtype.isnative:
            raise UnsupportedError(f"{name} is of the other byte order: convert it")
        if any(stride % array.itemsize for stride in array.strides):
            raise UnsupportedError(f"{name} has strides that aren't whole elements: copy it")

    def empty_like(self, array: Any) -> Any:
        return self._numpy.empty_like(array)

    def empty_lse(self, array: Any, shape: tuple[int, ...]) -> Any:
        return self._numpy.empty(shape, self._numpy.float32)

    def empty(self, array: Any, shape: tuple[int, ...]) -> Any:
        return self._numpy.empty(shape, array.dtype)

    def empty_int32(self, array: Any, size: int) -> Any:
        return self._numpy.empty(size, self._numpy.int32)

    def place(self, array: Any) -> Any:
        return "cpu"

    def address(self, array: Any) -> int:
        return int(array.ctypes.data)

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.flags.c_contiguous)

    def broadcast_strides(self, array: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        strides = self._numpy.broadcast_to(array, shape).strides
        return tuple(stride // array.itemsize for stride in strides)

    def numbers(self, array: Any) -> list[int]:
        return list(array.tolist())

    # DLPack, as tvm-ffi asks for it, knows neither bfloat16 nor arrays that may only be read.
    def exported(self, array: Any) -> Any:
        if self.named_dtype(array):
            array = array.view(self._numpy.uint16)
        return array if array.flags.writeable else self._numpy.asarray(_Writable(array))

    def named_dtype(self, array: Any) -> str:
        return "bfloat16" if array.dtype.name == "bfloat16" else ""

    def stream(self, array: Any) -> int:
        return 0


class _Writable:
    """The memory of a read-only array, for a kernel that only reads it."""

    def __init__(self, array: Any) -> None:
        self._array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


class _CuPy(_NumPy):
    def is_cuda(self, array: Any) -> bool:
        return True

    def place(self, array: Any) -> Any:
        return array.device.id

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def exported(self, array: Any) -> Any:
        return array.view(self._numpy.uint16) if self.named_dtype(array) else array

    def stream(self, array: Any) -> int:
        return max(cuda_stream_of(array), 0)


def framework_of(name: str, array: Any) -> Framework:
    """The framework of an array.

    Raises:
        ArgumentError: it is none that arrays can be made in.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return _Torch(torch)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(array, numpy.ndarray):
        return _NumPy(numpy)
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        return _CuPy(cupy)
    raise ArgumentError(
        f"{name} is of type {type(array).__name__!r}: attention takes PyTorch tensors, and NumPy "
        "and CuPy arrays; for JAX's there is flashmoe_science.jax.attention"
    )


def elements_of(name: str, array: Any) -> str:
    """What an array's elements are, one of JAX's too.

    Raises:
        ArgumentError: it is of no framework that is known.
        UnsupportedError: kernels can't take it.
    """
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(array, jax.Array):
        return str(array.dtype.name)
    framework = framework_of(name, array)
    framework.check(name, array)
    return framework.dtype_name(array)
