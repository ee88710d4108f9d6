"""Which backend serves a device flag? "cpu", "cuda", "cuda:N" or "auto", resolved once and kept."""

import copyreg
import re
import warnings
from typing import Any

from backends.backend import Backend
from backends.errors import DeviceError
from backends.numpy_backend import NumpyBackend

_backends: dict[str, Backend] = {"cpu": NumpyBackend()}


def _by_name(backend: Backend) -> tuple[Any, ...]:
    """How a backend is pickled: by its device, which is looked up where it is loaded."""
    return get, (backend.device,)


copyreg.pickle(NumpyBackend, _by_name)


def get(device: str | Backend) -> Backend:
    """The backend of a device: the same object at every call.

    Args:
        device: "cpu"; "cuda" (the first GPU), "cuda:1"; "auto": the first GPU where there is a usable one, else the CPU
            (a warning says why where a GPU's driver is present but cannot be used).

    Raises:
        DeviceError: the name is none of these, or the GPU cannot be used: the message names what is missing.

    >>> get("cpu").device
    'cpu'
    """
    if isinstance(device, Backend):
        return device
    if device in _backends:
        return _backends[device]
    if not isinstance(device, str) or not re.fullmatch(r"auto|cuda(:\d+)?", device):
        raise DeviceError(f'device {device!r} is unknown; allowed are "cpu", "cuda", "cuda:N" and "auto".')
    from backends import cupy_backend  # imported on demand: CuPy takes seconds to load

    if device == "auto":
        problem = cupy_backend.problem()
        if problem is None:
            return get("cuda:0")
        if cupy_backend.driver_present():
            warnings.warn(f"using the CPU: {problem}", RuntimeWarning, stacklevel=2)
        return _backends["cpu"]
    name = "cuda:0" if device == "cuda" else device
    if name not in _backends:
        _backends[name] = cupy_backend.CupyBackend(int(name.split(":")[1]))
        copyreg.pickle(cupy_backend.CupyBackend, _by_name)
    return _backends[name]


def devices() -> list[str]:
    """The names of the devices that can be used now, the CPU first.

    >>> devices()[0]
    'cpu'
    """
    from backends import cupy_backend

    return ["cpu", *(f"cuda:{index}" for index in range(cupy_backend.count()))]
