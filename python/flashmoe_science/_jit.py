"""Kernels of the user's own: from CUDA C++ to a launch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from . import _sources
from ._errors import UnavailableError, UnsupportedError
from ._native import native

# Only for annotations: types take longer to make than a kernel takes to be found in the store.
if TYPE_CHECKING:
    from ._launch_config import Launch, LaunchKey, Policy


class _Launchable(native.Launchable):  # type: ignore[misc, name-defined]
    """What a template and a prepared kernel have in common: ``this[grid, block](*arguments)``."""

    __slots__ = ("_about", "__weakref__")

    if TYPE_CHECKING:

        def __getitem__(self, how: LaunchKey) -> Launch: ...

    def _describe_once(self) -> dict[str, Any]:
        try:
            return self._about
        except AttributeError:
            self._about: dict[str, Any] = self._describe()
            return self._about

    @property
    def name(self) -> str:
        """The kernel's name in its source."""
        return self._describe_once()["name"]

    @property
    def doc(self) -> str:
        """What the source says of itself."""
        return self._describe_once()["doc"]

    @property
    def signature(self) -> str:
        """The kernel with its parameters, as the source declares them."""
        arguments = self._describe_once()["arguments"]
        if arguments is None:
            return f"{self.name}(?)"
        return f"{self.name}({', '.join(_declared(each) for each in arguments)})"


def _declared(parameter: dict[str, str]) -> str:
    return f"{parameter['type']} {parameter['name']}".rstrip()


class KernelTemplate(_Launchable):
    """CUDA C++ that declares parameters, and can be specialised and launched by their values.

    Made by :func:`jit`. ``template[grid, block](*arguments, **parameters)`` specialises for the
    parameters' values and for the device that the arrays are on, compiles if that is new, and
    launches on the current stream of the arrays' framework. The short forms of a launch are
    ``[grid, block]``, ``[grid, block, smem_bytes]`` and ``[grid, block, smem_bytes, stream]``;
    :class:`LaunchConfig` says all. Grid and block are ints or tuples of up to three.

    Arguments go by the parameters that the source declares: an array for a pointer (its element
    type is checked), a number for a number (a float for an int parameter is an error, and so is a
    value that it can't hold), None for a null pointer, bytes for a struct. A kernel gets an array's
    first element and not its strides: pass those as numbers, if it isn't contiguous. Nothing is
    copied. On a GPU the call returns at once; on the CPU the kernel has then run.

    Parameters not given have the defaults of their declarations; None makes a size an argument.
    The methods below take the same parameters, and the target to compile for: ``"cuda:sm_90a"``,
    ``"cpu"``, or by default that of this machine's GPU, or else of its CPU.

    Thread-safe. A child of ``fork()`` may go on using the CPU.
    """

    __slots__ = ("_made_of",)

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, self._made_of

    @property
    def parameters(self) -> dict[str, str]:
        """What may be specialised: each parameter's name, and what its values are."""
        return {each["name"]: each["what"] for each in self._describe_once()["parameters"]}

    def prepare(self, *, device: Any = None, **parameters: Any) -> Kernel:
        """Compiles and loads a specialisation, for hot loops and before a graph is captured.

        Args:
            device: where it is loaded: an ordinal, ``"cuda:1"``, ``"cpu"``, or a framework's
                device. None: PyTorch's current GPU, the first one, or the CPU. On others it is
                loaded at its first use.
            **parameters: values of the template's parameters.

        Returns:
            A handle that is launched as the template is, without parameters.

        Raises:
            CompileError: the source is wrong; the message says where.
            InvalidArgumentError: a parameter has no such value.
            UnavailableError: NVRTC or the LLVM library isn't on this machine.
        """
        kernel = Kernel.__new__(Kernel)
        kernel._freeze(self, parameters)
        kernel._prepare({}, *_device_of(device))
        return kernel

    def source(self, **parameters: Any) -> str:
        """The translation unit that is compiled: the values as constants, and an include."""
        return self._source(parameters)

    def specialization(self, **parameters: Any) -> str:
        """The values of all parameters, as logs name them: ``"saxpy<T=float32, kBlock=256>"``."""
        return self._specialization(parameters)

    def key(self, target: str | None = None, **parameters: Any) -> str:
        """The key in the store: 64 hexadecimal digits over all that decides the code."""
        return self._key(parameters, target or "", "")["key"]

    def key_fields(self, target: str | None = None, **parameters: Any) -> dict[str, str]:
        """What enters the key: each field, and its value or digest."""
        return self._key(parameters, target or "", "")["fields"]

    def code(self, target: str | None = None, **parameters: Any) -> bytes:
        """The object code, from the store or the compiler: a cubin, or an ELF object of a CPU."""
        return self._build(parameters, target or "", "")["code"]

    def resources(self, target: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What the compiled kernel uses.

        Returns:
            ``registers`` of a thread, ``spill_stores``, ``spill_loads`` and ``stack_bytes`` (bytes
            of a thread), ``static_smem_bytes`` (of a block), ``max_threads`` (of a block; 0: not
            bounded), ``parameter_bytes`` (of each argument), ``serialized_wgmma``.
        """
        return self._build(parameters, target or "", "")["resources"]

    def is_ready(self, target: str | None = None, **parameters: Any) -> bool:
        """Whether the store has it, so that using it wouldn't compile."""
        return self._has(parameters, target or "", "")

    def ptx(self, target: str | None = None, **parameters: Any) -> str:
        """PTX for a CUDA target. Compiled at each call; not kept."""
        return self._emit(parameters, target or "", "ptx")

    def sass(self, target: str | None = None, **parameters: Any) -> str:
        """What the GPU executes, disassembled by nvdisasm (``pip install nvidia-cuda-nvdisasm``).

        Raises:
            UnavailableError: nvdisasm isn't found.
            UnsupportedError: the target is no CUDA target.
        """
        built = self._build(parameters, target or "", "")
        if built["format"] != "cubin":
            raise UnsupportedError(
                f"{built['target']} has no SASS: a CUDA target, such as cuda:sm_90a, does; "
                "asm() is the machine code of a CPU"
            )
        return _disassemble(built["code"])

    def asm(self, target: str = "cpu", **parameters: Any) -> str:
        """The machine code for a CPU target, as text."""
        return self._emit(parameters, target, "asm")

    def llvm_ir(self, target: str = "cpu", **parameters: Any) -> str:
        """LLVM's IR for a CPU target, simplified, before it is split at barriers."""
        return self._emit(parameters, target, "llvm-ir")

    def __repr__(self) -> str:
        return f"<fms.KernelTemplate {self.signature}>"


class Kernel(_Launchable):
    """One specialisation of a template, loaded: ``kernel[grid, block](*arguments)``.

    Made by :meth:`KernelTemplate.prepare`. Arguments are as :class:`KernelTemplate` says.
    Thread-safe.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a prepared kernel can't be pickled: pickle its template")

    @property
    def specialization(self) -> str:
        """The values of all parameters."""
        return self._specialization({})

    def resources(self, target: str | None = None) -> dict[str, Any]:
        """What it uses: see :meth:`KernelTemplate.resources`."""
        return self._build({}, target or "", "")["resources"]

    def __repr__(self) -> str:
        return f"<fms.Kernel {self.specialization}>"


def jit(
    source_or_path: str | os.PathLike[str],
    *,
    name: str | None = None,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | None = None,
) -> KernelTemplate:
    """A kernel of your own, from CUDA C++.

    Nothing is compiled until it is launched or prepared. The source is plain CUDA C++; where it
    declares parameters (``FMS_TYPE(T, float32, "element type");``, see the README), their values
    are given at the launch.

    Args:
        source_or_path: the source itself, the path of a file, or the name of a built-in template
            (``"saxpy"``).
        name: the ``extern "C" __global__`` function to launch; None: the one that the source
            declares with FMS_KERNEL, or the only one it has.
        include_dirs: folders of headers. What is included is part of the key; paths are not.
        policy: what happens at a size seen for the first time. ``"auto"`` runs a kernel that takes
            the size as an argument, and compiles the exact one behind when it comes back;
            ``"exact"`` compiles now; ``"dynamic"`` never compiles for a size. None: the session's.

    Raises:
        InvalidArgumentError: a declaration is wrong (the message says line and column), or there
            is no such kernel in the source.
        NotFoundError: there is no such file.
    """
    folders = tuple(os.fspath(folder) for folder in include_dirs)
    if isinstance(source_or_path, str) and _is_source(source_or_path):
        file_name = f"{name or 'kernel'}.cu"
        _sources.note(file_name, source_or_path, 1)
        template = _make(source_or_path, file_name, name or "", folders, policy or "")
        if name is None:  # messages and manifests call it by what it turns out to be
            return _make_named(source_or_path, template.name, folders, policy or "")
        return template
    _sources.note_file(os.fspath(source_or_path))
    return _make(None, os.fspath(source_or_path), name or "", folders, policy or "")


def _make_named(
    text: str, name: str, folders: tuple[str, ...], policy: str
) -> KernelTemplate:
    """A template given as text, whose kernel's name is known. REQUIRES: called by jit()."""
    _sources.note(f"{name}.cu", text, 2)
    return _make(text, f"{name}.cu", name, folders, policy)


def _make(
    text: str | None, file: str, name: str, folders: tuple[str, ...], policy: str
) -> KernelTemplate:
    template = KernelTemplate.__new__(KernelTemplate)
    template._open(text, file, name, folders, policy)
    template._made_of = (text, file, name, folders, policy)
    return template


def _is_source(text: str) -> bool:
    return "\n" in text or "{" in text or ";" in text


def _device_of(device: Any) -> tuple[int, int]:
    """DLPack's device type and ordinal; -1 for the default."""
    if device is None:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            return 2, int(torch.cuda.current_device())
        return -1, 0
    if isinstance(device, int):
        return 2, device
    describe = getattr(device, "__dlpack_device__", None)
    if describe is not None:
        kind, ordinal = describe()
        return int(kind), int(ordinal)
    text = str(device)
    kind_text, _, ordinal_text = text.partition(":")
    if kind_text == "cpu":
        return 1, 0
    if kind_text == "cuda" and (not ordinal_text or ordinal_text.isdigit()):
        return 2, int(ordinal_text or _current_cuda_device())
    from ._errors import InvalidArgumentError

    raise InvalidArgumentError(f"{text!r} is no device: use 'cpu', 'cuda' or 'cuda:0'")


def _current_cuda_device() -> int:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.current_device())
    return 0


def _disassemble(cubin: bytes) -> str:
    program = _find_program("nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run([program, file.name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"can't disassemble: {program} failed", done.stderr)
    return done.stdout


def _find_program(name: str) -> str:
    folders = [str(Path(sys.executable).parent)]
    for variable in ("CUDA_HOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
        if variable in os.environ:
            folders.append(os.path.join(os.environ[variable], "bin"))
    for packages in sys.path:
        folders += [os.path.join(packages, "nvidia", part, "bin") for part in _WHEELS]
    nvrtc = native.nvrtc()
    if nvrtc["found"]:  # .../nvidia/cu13/lib/libnvrtc.so.13
        folders.append(str(Path(nvrtc["library"]).parent.parent / "bin"))
    folders.append("/usr/local/cuda/bin")
    found = which(name) or which(name, path=os.pathsep.join(folders))
    if found is None:
        raise UnavailableError(
            f"can't disassemble: {name} is neither on PATH, nor in this environment, nor in "
            "/usr/local/cuda: pip install nvidia-cuda-nvdisasm, or set CUDA_HOME"
        )
    return found


_WHEELS = ("cu13", "cuda_nvdisasm", "cuda_nvcc")
