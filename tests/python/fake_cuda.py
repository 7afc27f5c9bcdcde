"""CUDA without a GPU: the C++ tests' stand-in for libcuda.so.1, and arrays that claim to be there.

For a process that was started with that library's folder in LD_LIBRARY_PATH. Kernels are compiled
by NVRTC and loaded; launches are recorded and compute nothing.
"""

import ctypes
from ctypes import POINTER, c_bool, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint16, c_uint32
from ctypes import c_uint64, c_void_p

import numpy as np

cuda = ctypes.CDLL("libcuda.so.1")


class Launch(ctypes.Structure):
    """fms::FakeLaunch, as the compiler lays it out."""

    _fields_ = [
        ("kernel_text", ctypes.c_char_p), ("kernel_size", c_size_t), ("kernel_rest", c_uint8 * 16),
        ("device", c_int), ("stream", c_void_p), ("grid", c_uint32 * 3), ("block", c_uint32 * 3),
        ("cluster", c_uint32 * 3), ("smem_bytes", c_uint32), ("cooperative", c_bool),
        ("programmatic", c_bool), ("captured", c_bool), ("first_argument", c_void_p),
        ("last_argument", c_void_p), ("most_arguments", c_void_p),
    ]

    @property
    def arguments(self):
        """The bytes of each."""
        found = []
        for at in range(self.first_argument or 0, self.last_argument or 0, 24):
            begin, end = (c_void_p * 2).from_address(at)
            found.append(ctypes.string_at(begin, end - begin))
        return found


def launches():
    """Every launch until now, in order. What is read of them is never freed."""
    vector = (c_void_p * 3)()
    getattr(cuda, "_ZN3fms13fake_launchesEv")(ctypes.byref(vector))
    count = ((vector[1] or 0) - (vector[0] or 0)) // ctypes.sizeof(Launch)
    return list((Launch * count).from_address(vector[0])) if count else []


def set_capturing(stream, capturing):
    """Whether `stream`, a handle or 0, is recorded into a graph."""
    function = getattr(cuda, "_ZN3fms18fake_set_capturingENS_10StreamViewEb")
    function(c_void_p(stream), c_bool(capturing))


def make_stream(device=0):
    """The handle of a stream of a device."""
    context, before, stream = c_void_p(), c_void_p(), c_void_p()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == 0
    cuda.cuCtxGetCurrent(ctypes.byref(before))
    assert cuda.cuCtxSetCurrent(context) == 0
    assert cuda.cuStreamCreate(ctypes.byref(stream), 1) == 0
    cuda.cuCtxSetCurrent(before)
    return stream.value


class CudaArray:
    """An array by the CUDA array interface, as CuPy's and Numba's are."""

    def __init__(self, n=8, dtype=np.float32, device=0, stream=None, read_only=False):
        self._memory = np.zeros(n, dtype)
        self.dtype = self._memory.dtype
        self._device = device
        self.address = self._memory.ctypes.data
        self.__cuda_array_interface__ = {
            "shape": (n,), "typestr": self.dtype.str, "data": (self.address, read_only),
            "version": 3, "stream": stream}

    def __dlpack_device__(self):
        return 2, self._device


class DLTensor(ctypes.Structure):
    """As DLPack has it."""

    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32),
        ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)), ("byte_offset", c_uint64),
    ]


class ExchangeApi(ctypes.Structure):
    """DLPackExchangeAPI, version 1."""

    _fields_ = [
        ("major", c_uint32), ("minor", c_uint32), ("previous", c_void_p), ("allocate", c_void_p),
        ("managed_from", c_void_p), ("managed_to", c_void_p), ("tensor_from", c_void_p),
        ("current_stream", c_void_p),
    ]


CAPSULE_NAME = b"dlpack_exchange_api"  # to stay: capsules keep its address
current_streams = {}  # by device: what the framework of ExchangeArray says is current


@ctypes.PYFUNCTYPE(c_int, ctypes.py_object, POINTER(DLTensor))
def _tensor_from(array, out):
    out[0] = DLTensor(array.address, 2, array.device, 1, 2, 32, 1, array.shape, array.strides, 0)
    return 0


@ctypes.PYFUNCTYPE(c_int, c_int, c_int32, POINTER(c_void_p))
def _current_stream(kind, device, out):
    out[0] = current_streams.get(device, 0)
    return 0


_api = ExchangeApi(
    1, 3, None, None, None, None, ctypes.cast(_tensor_from, c_void_p),
    ctypes.cast(_current_stream, c_void_p))
ctypes.pythonapi.PyCapsule_New.restype = ctypes.py_object
ctypes.pythonapi.PyCapsule_New.argtypes = [c_void_p, ctypes.c_char_p, c_void_p]


class ExchangeArray:
    """An array of float32 by DLPack's table in C, as PyTorch's tensors are."""

    __dlpack_c_exchange_api__ = ctypes.pythonapi.PyCapsule_New(
        ctypes.addressof(_api), CAPSULE_NAME, None)

    def __init__(self, n=8, device=0):
        self._memory = np.zeros(n, np.float32)
        self.address = self._memory.ctypes.data
        self.device = device
        self.shape, self.strides = (c_int64 * 1)(n), (c_int64 * 1)(1)
