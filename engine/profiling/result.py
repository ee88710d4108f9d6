"""What was found out about a step? Times by operation and by layer, and what follows from them."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.profiling.table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Operation", "Part", "Profile"]


def _rate(amount: float | None, seconds: float) -> float | None:
    """So much a second; None where there is nothing, or it took no time."""
    return amount / seconds if amount and seconds else None


@dataclass(frozen=True)
class Operation:
    """One kind of kernel call, in one step.

    Attributes:
        name: the kernel: "Linear.backward".
        is_product: whether it multiplies matrices.
        precision: what its numbers are, and of a product its operands: "float32", "bfloat16"; "" without any.
        calls: how many a step.
        seconds: of all of them.
        bytes: of the arrays that they are given, each counted once a call.
        flops: None where no rule knows them.
    """

    name: str
    is_product: bool
    precision: str
    calls: float
    seconds: float
    bytes: float
    flops: float | None

    @property
    def seconds_per_call(self) -> float:
        """The mean."""
        return self.seconds / self.calls if self.calls else 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """None where nothing moves, or in no time."""
        return _rate(self.bytes, self.seconds)

    @property
    def flops_per_second(self) -> float | None:
        """None where the FLOPs are not known, there are none, or it took no time."""
        return _rate(self.flops, self.seconds)


@dataclass(frozen=True)
class Part:
    """For whom kernels computed: a layer, or what stands beside the layers.

    Attributes:
        name: the layer's dotted name in the outermost layer that was called ("(model)" for that one), or "loss",
            "penalty", "optimizer", "batch", "metrics", "weight average", "other operations".
        kind: the layer's class; "" for what is no layer.
        calls: how often the layer was called in a step; 0 for what is no layer.
        forward_seconds, backward_seconds: of the kernels; those of an optimizer and a batch are forward.
        flops: of those operations whose FLOPs are known.
    """

    name: str
    kind: str
    calls: float
    forward_seconds: float
    backward_seconds: float
    flops: float

    @property
    def seconds(self) -> float:
        """Forward and backward."""
        return self.forward_seconds + self.backward_seconds

    @property
    def flops_per_second(self) -> float | None:
        """Of the known FLOPs; None where there are none, or it took no time."""
        return _rate(self.flops, self.seconds)


@dataclass(frozen=True)
class Profile:
    """What `profile` found about a step; printed, it is two tables. Times are seconds.

    Attributes:
        step: the name of what was profiled.
        devices: where it computed.
        repeats: how many steps were measured.
        seconds: the time of a step: that of ``alone_seconds``, or of the kernels where these took longer, watched.
        alone_seconds: of a step that nobody watches, Python included.
        recorded_seconds: of a step as it is, replayed by `en.capture`; None where nothing is captured.
        operations: by kind of kernel call, the longest first.
        parts: by layer, in the order of the calls, then what is no layer.
        allocated_bytes, allocated_arrays: what a step asks the backend for (`empty`, `zeros`, `copy`).
    """

    step: str
    devices: tuple[str, ...]
    repeats: int
    seconds: float
    alone_seconds: float
    recorded_seconds: float | None
    operations: tuple[Operation, ...]
    parts: tuple[Part, ...]
    allocated_bytes: float
    allocated_arrays: float

    @property
    def kernel_seconds(self) -> float:
        """Of all operations."""
        return sum(one.seconds for one in self.operations)

    @property
    def python_seconds(self) -> float:
        """What is left of a step: Python, the graph, checks, and allocation."""
        return max(self.seconds - self.kernel_seconds, 0.0)

    @property
    def product_seconds(self) -> float:
        """Of the matrix products, each with its bias."""
        return sum(one.seconds for one in self.operations if one.is_product)

    @property
    def product_share(self) -> float:
        """The part of a step that matrix products take, 0 to 1."""
        return self.product_seconds / self.seconds if self.seconds else 0.0

    @property
    def product_flops_per_second(self) -> float | None:
        """What the matrix products achieve; None where there are none."""
        return _rate(sum(one.flops or 0 for one in self.operations if one.is_product), self.product_seconds)

    @property
    def flops(self) -> float:
        """Of all operations whose FLOPs are known."""
        return sum(one.flops or 0 for one in self.operations)

    @property
    def flops_per_second(self) -> float | None:
        """Known FLOPs by the time of the whole step; None where there are none."""
        return _rate(self.flops, self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dictionaries, lists and numbers, for JSON."""
        return {
            **{name: getattr(self, name) for name in _MEASURED},
            "devices": list(self.devices),
            "operations": [{name: getattr(one, name) for name in _OF_OPERATIONS} for one in self.operations],
            "parts": [{name: getattr(one, name) for name in _OF_PARTS} for one in self.parts],
        }

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> "Figure":
        """Bars of the time by operation and by layer, a matplotlib Figure; needs the extra ``plots``.

        Args:
            path: where to write the picture; .png, .svg or .pdf.
            title: above both, before the time; the step's name where None.
        """
        from engine.profiling.picture import picture

        return picture(self, path, title)

    def __str__(self) -> str:
        return table(self)

    __repr__ = __str__


_MEASURED = (
    *("step", "repeats", "seconds", "alone_seconds", "recorded_seconds", "kernel_seconds", "python_seconds"),
    *("product_seconds", "product_share", "product_flops_per_second", "flops", "flops_per_second"),
    *("allocated_bytes", "allocated_arrays"),
)
_OF_OPERATIONS = (
    *("name", "is_product", "precision", "calls", "seconds", "seconds_per_call", "bytes", "bytes_per_second"),
    *("flops", "flops_per_second"),
)
_OF_PARTS = ("name", "kind", "calls", "forward_seconds", "backward_seconds", "seconds", "flops", "flops_per_second")
