"""Which devices are there? The backends by device name; arrays and kernels below them. Imports nothing of engine."""

from backends.backend import Backend
from backends.devices import devices, get
from backends.errors import DeviceError, EngineError

__all__ = ["Backend", "DeviceError", "EngineError", "devices", "get"]
