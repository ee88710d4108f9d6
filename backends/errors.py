"""Which errors can the arrays' floor raise? The root of all errors of the engine, and the device errors."""


class EngineError(Exception):
    """Root of every error that the engine raises on purpose: one line with the thing, what was given and the fix."""


class DeviceError(EngineError, RuntimeError):
    """A device that is not there, cannot be used, is out of memory, or two devices in one operation."""


for _error in (EngineError, DeviceError):  # users see engine.DeviceError, the name that they can catch
    _error.__module__ = "engine"
