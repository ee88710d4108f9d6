"""How is the source for a GPU compiled? By NVRTC, once for each kind of GPU; the result is kept in a folder for caches.

No GPU is needed for it. NVRTC is found as CuPy finds it: in its wheel, or in an installed CUDA.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from backends.native.table import kernels

FOLDERS = (Path(__file__).parent, Path(__file__).parent.parent / "native")
"""Where the source and its headers are."""

OPTIONS = ("-std=c++17", "-default-device", "-fmad=false", "-diag-suppress=177")
"""No contraction, as on the CPU. NVRTC's other arithmetic rounds as it should by default."""

KINDS = ("-DONLY_FLOAT", "-DONLY_DOUBLE")
"""Each type is compiled when it is wanted: most trainings never want the second."""


class CompileError(Exception):
    """The kernels for a GPU could not be compiled; one line says why."""


@functools.cache
def library() -> Any:
    """NVRTC.

    Raises:
        CompileError: there is none.
    """
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        return ctypes.CDLL(load_nvidia_dynamic_lib("nvrtc").abs_path)
    except Exception as error:  # there are many ways in which a library is not there
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    raise CompileError(f"NVRTC was not found ({reason})")


def version() -> tuple[int, int]:
    """NVRTC's version, such as (12, 9)."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def architecture(capability: int) -> str:
    """What to compile for: a GPU's own code ("sm_90"), or, where NVRTC is older than the GPU, what its driver compiles.

    Args:
        capability: the GPU's compute capability, as 10 * major + minor.
    """
    count = ctypes.c_int()
    library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    known = (ctypes.c_int * count.value)()
    library().nvrtcGetSupportedArchs(known)
    if capability in known:
        return f"sm_{capability}"
    older = [one for one in known if one < capability]
    if not older:
        raise CompileError(f"NVRTC {_dotted()} does not compile for GPUs of compute capability {capability / 10}")
    return f"compute_{max(older)}"


def _dotted() -> str:
    return ".".join(map(str, version()))


def options(arch: str, kind: int) -> list[str]:
    """NVRTC's options for the kernels of a type (0: float, 1: double).

    The places of a Call's parts are those of the compiled module that will make it.
    """
    layout = [f"-D{name}={value}" for name, value in kernels.device_layout().items()]
    return [f"-arch={arch}", *OPTIONS, KINDS[kind], *layout]


def compiled(arch: str, kind: int, *more: str) -> tuple[bytes, str]:
    """The kernels of a type for this architecture, compiled now: (code, what NVRTC said).

    Raises:
        CompileError: NVRTC is missing or refuses; the message has its first complaint.
    """
    nvrtc, program = library(), ctypes.c_void_p()
    source = (FOLDERS[0] / "kernels.cu").read_bytes()
    given = [*options(arch, kind), *(f"-I{folder}" for folder in FOLDERS), *more]
    array = (ctypes.c_char_p * len(given))(*(one.encode() for one in given))
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None)
    try:
        status = nvrtc.nvrtcCompileProgram(program, len(given), array)
        said = _read(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).rstrip(b"\0").decode()
        if status != 0:
            complaint = next((line for line in said.splitlines() if "error" in line), f"NVRTC ended with {status}")
            raise CompileError(f"NVRTC {_dotted()} could not compile the kernels for {arch}: {complaint.strip()}")
        native = arch.startswith("sm_")
        size, get = (
            (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN) if native else (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
        )
        return _read(size, get, program), said
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(size_of: Any, get: Any, program: Any) -> bytes:
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    get(program, text)
    return text.raw


# -- the cache -------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where compiled kernels are kept: chalkgrad/kernels in $XDG_CACHE_HOME, or in the system's folder for caches."""
    usual = {"win32": os.environ.get("LOCALAPPDATA") or "~/AppData/Local", "darwin": "~/Library/Caches"}
    base = os.environ.get("XDG_CACHE_HOME") or usual.get(sys.platform, "~/.cache")
    return Path(base).expanduser() / "chalkgrad" / "kernels"


def key(arch: str, kind: int) -> str:
    """What compiled code depends on: all of the source, the options, and NVRTC."""
    found = hashlib.sha256(repr((options(arch, kind), version())).encode())
    for folder in FOLDERS:
        for path in sorted((*folder.glob("*.h"), *folder.glob("*.cu"))):
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def cached(arch: str, kind: int) -> bytes:
    """The kernels of a type for this architecture, from the cache where they are there and whole.

    Raises:
        CompileError: they have to be compiled, and cannot be.
    """
    path = cache_folder() / f"{arch}-{key(arch, kind)[:32]}"
    with contextlib.suppress(OSError):
        kept = path.read_bytes()
        if hashlib.sha256(kept[32:]).digest() == kept[:32]:
            return kept[32:]
    code, _ = compiled(arch, kind)
    with contextlib.suppress(OSError):  # without a folder to keep them in they are compiled each time
        write(path, hashlib.sha256(code).digest() + code)
    return code


def write(path: Path, content: bytes) -> None:
    """All of it or nothing, whoever else writes the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
