"""What is found on this machine."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

from ._native import native

_FRAMEWORKS = ("torch", "numpy", "cupy", "jax", "apache-tvm-ffi")


def is_cuda_available() -> bool:
    """Whether there is a CUDA driver and a device. Initialises the driver, and no device."""
    return native.device_count() > 0


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def doctor() -> dict[str, Any]:
    """What is found here, and what is missing and why: as ``python -m flashmoe_science doctor``."""
    devices: list[dict[str, Any]] = []
    for ordinal in range(native.device_count()):
        devices.append(_try(lambda ordinal=ordinal: native.device(2, ordinal)))
    return {
        "version": native.version,
        "python": sys.version.split()[0],
        "module": native.__file__,
        "packages": {name: _version_of(name) for name in _FRAMEWORKS},
        "driver": {"message": native.driver(), "devices": devices},
        "nvrtc": native.nvrtc(),
        "llvm": native.llvm(),
        "cpu": _try(lambda: native.device(1, 0)),
        "options": native.options(),
        "store": _try(native.store_stats),
        "environment": native.environment(),
        "templates": native.templates(),
    }


def _try(ask: Any) -> dict[str, Any]:
    from ._errors import Error

    try:
        return ask()
    except Error as error:
        return {"message": error.message}


def print_doctor(found: dict[str, Any]) -> None:
    """Writes what :func:`doctor` found for a person."""
    print(f"flashmoe_science {found['version']}, Python {found['python']}\n  {found['module']}")
    for name, version in found["packages"].items():
        print(f"  {name:16} {version or 'not installed'}")
    print("\nGPU")
    if found["driver"]["message"]:
        print(f"  {found['driver']['message']}")
    for device in found["driver"]["devices"]:
        print(f"  {_device_line(device)}")
    if not found["driver"]["message"] and not found["driver"]["devices"]:
        print("  a driver, and no device")
    print(f"  NVRTC: {_library_line(found['nvrtc'])}")
    print("\nCPU")
    print(f"  {_device_line(found['cpu'])}")
    print(f"  LLVM: {_library_line(found['llvm'])}")
    print("\nStore")
    for folder in found["options"]["cache_dirs"]:
        print(f"  {folder}")
    store = found["store"]
    print(f"  {store.get('message') or '{entries} kernels, {bytes} bytes'.format(**store)}")
    print("\nEnvironment")
    for variable in found["environment"]:
        print(f"  {variable['name']:20} {variable['value'] or '-':24} {variable['meaning']}")
    print(f"\nTemplates\n  {', '.join(found['templates'])}")


def _device_line(device: dict[str, Any]) -> str:
    if "message" in device:
        return device["message"]
    what = "cores" if device["ordinal"] < 0 else "SMs"
    return f"{device['name']}, {device['target']}, {device['sm_count']} {what}"


def _library_line(library: dict[str, Any]) -> str:
    if library["found"]:
        return f"{library['version']}, {library['library']}"
    return f"not found: {library['message']}"
