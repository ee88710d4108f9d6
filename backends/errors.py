"""Which errors can the arrays' floor raise? The root of all errors of the engine, and the device errors."""


class EngineError(Exception):
    """Root of every error that the engine raises on purpose: one line with the thing, what was given and the fix."""


class DeviceError(EngineError, RuntimeError):
    """A device that is not there, cannot be used, is out of memory, or two devices in one operation."""


class OutOfMemoryError(DeviceError, MemoryError):
    """A device that has no room for an array.

    Attributes:
        facts: what was asked of which device, and what it had.
    """

    def __init__(self, facts: str, advice: str = "Use a smaller model or batch size.") -> None:
        super().__init__(f"{facts} {advice}")
        self.facts = facts

    def __reduce__(self) -> tuple[type["OutOfMemoryError"], tuple[str, str]]:
        return type(self), (self.facts, str(self)[len(self.facts) + 1 :])


for _error in (
    EngineError,
    DeviceError,
    OutOfMemoryError,
):  # users see engine.DeviceError, the name that they can catch
    _error.__module__ = "engine"
