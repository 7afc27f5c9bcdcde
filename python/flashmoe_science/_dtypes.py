"""Types of elements, as values of a template's parameters and of a kernel's arguments."""

from __future__ import annotations

import struct
import sys
from typing import Any, Final

# DLPack's type codes.
INT: Final = 0
UINT: Final = 1
FLOAT: Final = 2
OPAQUE: Final = 3
BFLOAT: Final = 4
COMPLEX: Final = 5
BOOL: Final = 6
FLOAT8_E4M3FN: Final = 10
FLOAT8_E5M2: Final = 12


class DType:
    """A type of elements: ``fms.float32``. Called, it makes a number of that type.

    Attributes:
        name: as NumPy and PyTorch have it: ``"float32"``.
        code: DLPack's type code.
        bits: of one element.
        itemsize: bytes of one element.
    """

    __slots__ = ("name", "code", "bits", "itemsize", "_format")

    def __init__(self, name: str, code: int, bits: int, format: str) -> None:
        self.name = name
        self.code = code
        self.bits = bits
        self.itemsize = bits // 8
        self._format = format

    def __call__(self, value: float) -> Scalar:
        """A number of this type, for a kernel's parameter whose type isn't known otherwise.

        Raises:
            OverflowError: the type can't hold the value.
            TypeError: it is no number, or a float for a type of integers.
        """
        return Scalar(self, value, self._pack(value))

    def _pack(self, value: float) -> bytes:
        if self._format:
            try:
                return struct.pack("<" + self._format, value)
            except struct.error as error:
                if isinstance(value, int):
                    raise OverflowError(f"{self.name} can't hold {value}") from error
                raise TypeError(f"{value!r} is no number of type {self.name}") from error
        if self.code != BFLOAT:
            raise TypeError(f"numbers of type {self.name} can't be made here")
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        if value != value:
            return struct.pack("<H", (bits >> 16) | 0x40)
        return struct.pack("<H", ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF)

    def __repr__(self) -> str:
        return f"fms.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name


class Scalar:
    """A number with its type: ``fms.float32(2)``.

    Attributes:
        dtype: its type.
        value: the number that it was made of.
    """

    __slots__ = ("dtype", "value", "_bytes")

    def __init__(self, dtype: DType, value: float, packed: bytes) -> None:
        self.dtype = dtype
        self.value = value
        self._bytes = packed

    def __repr__(self) -> str:
        return f"{self.dtype!r}({self.value!r})"


class Pointer:
    """A device address, for a parameter that is a pointer."""

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = address

    def __repr__(self) -> str:
        return f"fms.pointer({self.address:#x})"


def pointer(address: int) -> Pointer:
    """An address as an argument, where a kernel takes a pointer.

    Nothing of it can be checked: neither what it points to, nor on which device.

    Args:
        address: as ``Tensor.data_ptr()`` gives it.
    """
    if not isinstance(address, int) or address < 0:
        raise TypeError(f"{address!r} is no address")
    return Pointer(address)


float64 = DType("float64", FLOAT, 64, "d")
float32 = DType("float32", FLOAT, 32, "f")
float16 = DType("float16", FLOAT, 16, "e")
bfloat16 = DType("bfloat16", BFLOAT, 16, "")
float8_e4m3fn = DType("float8_e4m3fn", FLOAT8_E4M3FN, 8, "")
float8_e5m2 = DType("float8_e5m2", FLOAT8_E5M2, 8, "")
int8 = DType("int8", INT, 8, "b")
uint8 = DType("uint8", UINT, 8, "B")
int16 = DType("int16", INT, 16, "h")
int32 = DType("int32", INT, 32, "i")
uint32 = DType("uint32", UINT, 32, "I")
int64 = DType("int64", INT, 64, "q")
uint64 = DType("uint64", UINT, 64, "Q")
bool_ = DType("bool", BOOL, 8, "?")

_ML_DTYPES = {
    "bfloat16": (BFLOAT, 16),
    "float8_e4m3fn": (FLOAT8_E4M3FN, 8),
    "float8_e5m2": (FLOAT8_E5M2, 8),
}
_codes: dict[Any, tuple[int, int]] = {}  # of NumPy's dtypes that were seen
_NUMPY_KINDS = {"f": FLOAT, "i": INT, "u": UINT, "b": BOOL, "c": COMPLEX}


def code_of_numpy(dtype: Any) -> tuple[int, int]:
    """DLPack's code and bits of a NumPy dtype.

    Raises:
        TypeError: a kernel has no such type: structured, or of the other byte order.
    """
    known = _codes.get(dtype)
    if known is None:
        known = _ML_DTYPES.get(dtype.name)
        if known is None:
            code = _NUMPY_KINDS.get(dtype.kind)
            if code is None or not dtype.isnative:
                raise TypeError(f"kernels know no elements of NumPy's type {dtype}")
            known = code, 8 * dtype.itemsize
        _codes[dtype] = known
    return known


def parameter_text(value: Any) -> str:
    """A template parameter's value as the library reads it."""
    if isinstance(value, DType):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return value
    if value is None:
        return "dynamic"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.generic):
            return parameter_text(value.item())
        if isinstance(value, (numpy.dtype, type)):
            return str(numpy.dtype(value).name)
    if hasattr(value, "__index__"):
        return str(value.__index__())
    raise TypeError(
        f"{value!r} is no value of a template's parameter: those are numbers, bools, types "
        "(fms.float32), names of choices, and None for a size that is an argument"
    )
