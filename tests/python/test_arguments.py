"""How Python objects become a kernel's arguments: exactly, or not at all."""

import ctypes
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("cpu")

# Each parameter's bytes are written to `out`, eight apart.
ECHO = """
#include <cuda_bf16.h>
#include <cuda_fp16.h>
using real = float;
struct Pair { int a; float b; };
template <typename T>
__device__ void put(unsigned char* out, int slot, T value) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
  for (int i = 0; i < int(sizeof(T)); ++i) out[8 * slot + i] = bytes[i];
}
extern "C" __global__ void echo(unsigned char* out, signed char i8, unsigned char u8, short i16,
                                unsigned short u16, int i32, unsigned u32, long long i64,
                                unsigned long long u64, float f32, double f64, __half f16,
                                __nv_bfloat16 bf16, bool b, real alias, Pair pair) {
  put(out, 0, i8); put(out, 1, u8); put(out, 2, i16); put(out, 3, u16); put(out, 4, i32);
  put(out, 5, u32); put(out, 6, i64); put(out, 7, u64); put(out, 8, f32); put(out, 9, f64);
  put(out, 10, f16); put(out, 11, bf16); put(out, 12, b); put(out, 13, alias); put(out, 14, pair);
}
"""

SLOTS = {
    "i8": (0, "int8"), "u8": (1, "uint8"), "i16": (2, "int16"), "u16": (3, "uint16"),
    "i32": (4, "int32"), "u32": (5, "uint32"), "i64": (6, "int64"), "u64": (7, "uint64"),
    "f32": (8, "float32"), "f64": (9, "float64"), "f16": (10, "float16"),
    "bf16": (11, "bfloat16"), "b": (12, "bool"), "alias": (13, "float32"),
}
INTEGERS = {name: np.iinfo(dtype) for name, (_, dtype) in SLOTS.items() if "int" in dtype}


@pytest.fixture(scope="module")
def echo(fms):
    return fms.jit(ECHO, name="echo").prepare(device="cpu")


def pass_on(echo, **values):
    """What the kernel saw of these parameters; the others are 0."""
    out = np.zeros(8 * 16, np.uint8)
    arguments = [values.get(name, 0) for name in SLOTS if name != "b"]
    arguments.insert(12, values.get("b", False))
    echo[1, 1](out, *arguments, values.get("pair", bytes(8)))
    return out


def seen(echo, name, value):
    slot, dtype = SLOTS[name]
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    dtype = np.dtype(dtype)
    return pass_on(echo, **{name: value})[8 * slot:8 * slot + dtype.itemsize].view(dtype)[0]


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(INTEGERS)), value=st.integers(-(2**65), 2**65))
def test_an_int_arrives_as_it_is_or_not_at_all(echo, name, value):
    limits = INTEGERS[name]
    if limits.min <= value <= limits.max:
        assert int(seen(echo, name, value)) == value
    else:
        with pytest.raises(TypeError):
            seen(echo, name, value)


@pytest.mark.parametrize("name", sorted(INTEGERS))
def test_the_limits_of_every_integer_type(echo, name):
    limits = INTEGERS[name]
    assert int(seen(echo, name, int(limits.min))) == limits.min
    assert int(seen(echo, name, int(limits.max))) == limits.max
    for outside in (int(limits.min) - 1, int(limits.max) + 1):
        with pytest.raises(TypeError, match="hold|64 bits"):
            seen(echo, name, outside)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(["f32", "f64", "f16", "alias"]), value=st.floats())
def test_a_float_is_rounded_as_numpy_does(echo, name, value):
    with np.errstate(over="ignore"):
        expected = np.dtype(SLOTS[name][1]).type(value)
    if math.isinf(expected) and math.isfinite(value):
        with pytest.raises(TypeError, match="can't hold"):
            seen(echo, name, value)
    else:
        np.testing.assert_array_equal(seen(echo, name, value), expected)


@settings(max_examples=200, deadline=None)
@given(value=st.floats(width=32, allow_nan=False))
def test_a_bfloat16_is_rounded_as_ml_dtypes_does(echo, value):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    expected = bfloat16(value)
    if np.isinf(expected) and math.isfinite(value):
        return
    assert seen(echo, "bf16", value) == expected


def test_ints_become_floats_and_never_the_reverse(fms, echo):
    assert seen(echo, "f32", 3) == 3
    assert seen(echo, "f64", 2**63) == 2.0**63
    with pytest.raises(TypeError, match=r"'i32'\) is a float, and the parameter is int32"):
        seen(echo, "i32", 3.0)
    with pytest.raises(TypeError, match="is an int, and the parameter is bool"):
        seen(echo, "b", 1)


def test_bools_are_ints_and_no_floats(echo):
    assert seen(echo, "b", True) and not seen(echo, "b", False)
    assert seen(echo, "i32", True) == 1
    with pytest.raises(TypeError, match="is a bool"):
        seen(echo, "f32", True)


def test_numbers_that_bring_a_type_go_by_their_value(fms, echo):
    assert seen(echo, "i32", np.int64(-7)) == -7
    assert seen(echo, "f32", np.float64(0.1)) == np.float32(0.1)
    assert seen(echo, "f64", np.float32(0.1)) == np.float64(np.float32(0.1))
    assert seen(echo, "f32", fms.bfloat16(1.5)) == 1.5
    assert seen(echo, "f16", fms.float16(0.1)) == np.float16(0.1)
    assert seen(echo, "b", np.bool_(True))
    assert seen(echo, "u64", np.uint64(2**64 - 1)) == 2**64 - 1
    with pytest.raises(TypeError, match="can't hold"):
        seen(echo, "i8", np.int64(300))
    with pytest.raises(TypeError, match="is a float"):
        seen(echo, "i32", np.float32(1))


def test_bytes_are_a_struct_of_just_that_size(echo):
    class Pair(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_float)]

    out = pass_on(echo, pair=bytes(Pair(5, 0.5)))
    assert out[8 * 14:].view(np.int32)[0] == 5 and out[8 * 14 + 4:].view(np.float32)[0] == 0.5
    with pytest.raises(TypeError, match="has 4 bytes, and the parameter 'Pair' has 8"):
        pass_on(echo, pair=bytes(4))
    with pytest.raises(TypeError, match="isn't known: say its type"):
        pass_on(echo, pair=5)


TAKE = """
extern "C" __global__ void take(const float* read, float* write, void* any) {
  if (write) *write = read ? *read + 1 : -1;
}
"""


@pytest.fixture(scope="module")
def take(fms):
    return fms.jit(TAKE, name="take")


def test_element_types_of_arrays_are_checked(take):
    good, other, out = np.ones(1, np.float32), np.ones(1), np.zeros(1, np.float32)
    for any_type in (np.zeros(1, np.int8), np.zeros(1, np.complex64)):
        take[1, 1](good, out, any_type)
    assert out[0] == 2
    with pytest.raises(TypeError, match="array of float64, and the parameter 'const float\\*'"):
        take[1, 1](other, out, None)
    with pytest.raises(TypeError, match="is a float, and the parameter 'float\\*' is a pointer"):
        take[1, 1](good, 1.0, None)


def test_a_read_only_array_goes_only_to_a_pointer_to_const(take):
    read, out = np.ones(1, np.float32), np.zeros(1, np.float32)
    read.flags.writeable = False
    take[1, 1](read, out, None)
    assert out[0] == 2
    with pytest.raises(TypeError, match="read-only array"):
        take[1, 1](out, read, None)


def test_none_is_a_null_pointer_and_addresses_are_said(fms, take):
    out = np.zeros(1, np.float32)
    take[1, 1](None, out, None)
    assert out[0] == -1
    take[1, 1](None, fms.pointer(out.ctypes.data), None)
    with pytest.raises(TypeError, match="fms.pointer"):
        take[1, 1](None, out.ctypes.data, None)


def test_the_wrong_number_of_arguments_shows_the_signature(take):
    with pytest.raises(TypeError, match="const float\\* read.*takes 3 arguments, and 1 is given"):
        take[1, 1](None)


@pytest.mark.parametrize("argument", ["text", object(), [1, 2], {}, 1j])
def test_what_no_kernel_takes_is_named(take, argument):
    with pytest.raises(TypeError):
        take[1, 1](None, argument, None)


def test_views_are_passed_by_their_first_element(take):
    x = np.arange(10, dtype=np.float32)
    out = np.zeros(1, np.float32)
    for view in (x[3:], x[::-1], x[5:0:-2], x.reshape(5, 2).T[1:]):
        take[1, 1](view, out, None)
        assert out[0] == view.flat[0] + 1
    take[1, 1](x[:0], out, None)  # no element, and still an address


def test_arrays_of_another_byte_order_are_refused(take):
    with pytest.raises(TypeError, match="NumPy's type"):
        take[1, 1](np.ones(1, ">f4"), np.zeros(1, np.float32), None)


def test_jax_arrays_are_read_and_never_written(take):
    jax = pytest.importorskip("jax")
    x, out = jax.numpy.ones(1), np.zeros(1, np.float32)
    take[1, 1](x, out, None)
    assert out[0] == 2
    with pytest.raises(TypeError, match="read-only array"):
        take[1, 1](out, x, None)


def test_tensors_of_tvm_ffi_are_taken(take):
    tvm_ffi = pytest.importorskip("tvm_ffi")
    x, out = tvm_ffi.from_dlpack(np.ones(1, np.float32)), np.zeros(1, np.float32)
    take[1, 1](x, out, None)
    assert out[0] == 2


class OnlyDLPack:
    """An array of a framework that isn't known here."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_arrays_with_nothing_but_dlpack_are_taken(take):
    x, out = np.ones(1, np.float32), np.zeros(1, np.float32)
    take[1, 1](OnlyDLPack(x), OnlyDLPack(out), None)
    assert out[0] == 2


class OnAGpu:
    """An array that says it is in a GPU's memory, by the CUDA array interface."""

    dtype = np.dtype(np.float32)
    __cuda_array_interface__ = {
        "shape": (1,), "typestr": "<f4", "data": (4096, False), "version": 3, "stream": None}

    def __dlpack_device__(self):
        return 2, 1


def test_arrays_on_several_devices_are_refused(take):
    with pytest.raises(TypeError, match="argument 1 is on cuda:1, and argument 2 on the CPU"):
        take[1, 1](OnAGpu(), np.zeros(1, np.float32), None)


def test_parameters_and_tensors_that_require_gradients_are_passed(take):
    torch = pytest.importorskip("torch")
    x, out = torch.nn.Parameter(torch.ones(1)), torch.zeros(1)
    take[1, 1](x, out, None)
    assert out[0] == 2


def test_pytorch_tensors_on_other_devices_are_refused(take):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception):
        take[1, 1](torch.zeros(1, device="meta"), torch.zeros(1), None)


class Stream:
    """A stream as frameworks have them."""

    cuda_stream = 7


class ProtocolStream:
    """A stream by cuda-python's protocol."""

    def __cuda_stream__(self):
        return 0, 9


def test_streams_of_any_framework_are_taken(fms, take):
    out = np.zeros(1, np.float32)
    for stream in (None, 0, 5, Stream(), ProtocolStream()):
        take[1, 1, 0, stream](None, out, None)  # on the CPU there is but one
    with pytest.raises(fms.ArgumentError, match="no CUDA stream"):
        take[1, 1, 0, object()]


def test_typed_numbers_are_made_exactly(fms):
    assert fms.float32(1)._bytes == np.float32(1).tobytes()
    assert repr(fms.int8(-3)) == "fms.int8(-3)"
    with pytest.raises(OverflowError):
        fms.int8(128)
    with pytest.raises(TypeError):
        fms.int32(1.5)
    with pytest.raises(TypeError):
        fms.float8_e5m2(1)


def test_launches_keep_no_references(fms, take):
    torch = pytest.importorskip("torch")
    read, out = torch.ones(1), np.zeros(1, np.float32)
    number = np.int64(5)
    echo_like = fms.jit('extern "C" __global__ void f(const float* x, float* y, long long n) {}')
    launch = echo_like[1, 1]
    objects = (read, out, number, echo_like, launch, None)
    launch(read, out, number)
    before = [sys.getrefcount(each) for each in objects]
    for _ in range(200):
        launch(read, out, number)
        echo_like[1, 1](read, out, number)
        with pytest.raises(TypeError):
            launch(read, out, 0.5)
    after = [sys.getrefcount(each) for each in objects]
    assert [b - a for a, b in zip(before[:5], after[:5])] == [0] * 5
    assert abs(after[5] - before[5]) < 100  # None is everybody's
