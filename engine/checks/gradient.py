"""Is a gradient right? Back-propagation against differences of the function, and the worst element named."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.kernels.pair import Array
from engine.checks.jacobian import check_step
from engine.checks.reverse import leaf_gradients, recording, tensor_result
from engine.errors import ArgumentError, DtypeError, GradientError
from engine.layers.layer import Layer
from engine.layers.regularization import RandomLayer
from engine.tensor import Tensor


@dataclass(frozen=True)
class GradientReport:
    """What `gradcheck` found.

    Attributes:
        ok: whether every element is within the tolerance.
        largest_error: the largest |analytic - numeric| / max(1, |analytic|, |numeric|).
        where: the input or parameter that has it, by position and name.
        index: its element there.
        analytic, numeric: the two values there.
        tolerance: what was allowed.
        checked: how many elements were compared.
        redrawn: how many times an element sat on a kink and was drawn again.
    """

    ok: bool
    largest_error: float
    where: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    tolerance: float
    checked: int
    redrawn: int

    def __str__(self) -> str:
        place = self.where + _brackets(self.index)
        moved = f" {self.redrawn} drawn again, beside a kink." if self.redrawn else ""
        return (
            f"gradcheck: {'right' if self.ok else 'wrong'}; largest relative error {self.largest_error:.2g} at {place} "
            f"(analytic {self.analytic:.9g}, numeric {self.numeric:.9g}); allowed {self.tolerance:g}; "
            f"{self.checked} elements.{moved}"
        )


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Any,
    *,
    parameters: Layer | Iterable[Tensor] = (),
    h: float = 1e-4,
    tolerance: float = 1e-7,
    seed: int = 0,
    attempts: int = 5,
) -> GradientReport:
    """Compare back-propagation with differences of the function, for every element of every input and parameter.

    The output y is weighed by a random incoming gradient g (a plain sum would hide errors that cancel: the gradients
    of a softmax sum to 0), so the function that is differentiated is sum(g y). Its numerical derivative is
    Richardson's extrapolation of central differences D, (4 D(h/2) - D(h)) / 3, whose error is of order h^4.

    Where the two disagree, but the differences contradict each other by at least half as much (one-sided slopes that
    differ, or D(h) and D(h/2)), the element sits beside a kink and proves nothing: it is moved by a random step of
    100 to 300 h and checked again. One that sits beside a kink every time is an error, for nothing can be said of it.

    Args:
        function: takes the inputs, returns one Tensor; of a Layer the parameters are checked too, its random layers
            draw the same masks at each call, and its buffers and counters are left as they were.
        inputs: a Tensor or an array, or a list of them, copied. Those that require a gradient are checked; where none
            does, all floats are. Whatever is not a Tensor or an array of numbers is handed on.
        parameters: further Tensors that the function reads, or the Layer that it calls; restored afterwards.
        h: the step of the differences.
        tolerance: the largest allowed |analytic - numeric| / max(1, |analytic|, |numeric|).
        seed: of the incoming gradient and of redrawn points.
        attempts: how often an element may be drawn again.

    Raises:
        GradientError: a gradient is wrong, with the worst element; the function is random; nothing is there to check.
        DtypeError: something to check is not float64.

    >>> import engine as en
    >>> x = en.tensor([[0.5, -1.0]], requires_grad=True, dtype="float64")
    >>> gradcheck(lambda x: en.tanh(x), [x]).ok
    True
    """
    check_step("gradcheck", h)
    if not tolerance > 0:
        raise ArgumentError(f"gradcheck: tolerance {tolerance!r} was given; it is above 0, such as 1e-7.")
    check = _Check(function, inputs, parameters, h, tolerance, np.random.default_rng(seed))
    try:
        for source in check.sources:
            check.compare(source, attempts)
    finally:
        check.restore()
    report = check.report()
    if not report.ok:
        raise GradientError(str(report))
    return report


@dataclass
class _Source:
    """One tensor whose gradient is checked."""

    tensor: Tensor
    where: str
    before: Array  # its values when the check began


@dataclass
class _Differences:
    """What five values along one element say: the derivative, and by how much they contradict each other."""

    slope: float
    contradiction: float


class _Check:
    """The state of one `gradcheck`: the function, what it is checked by, and the worst element so far."""

    def __init__(
        self,
        function: Callable[..., Tensor],
        inputs: Any,
        parameters: Layer | Iterable[Tensor],
        h: float,
        tolerance: float,
        generator: "np.random.Generator",
    ) -> None:
        self.function, self.h, self.tolerance, self.generator = function, h, tolerance, generator
        owners = [owner for owner in (function, parameters) if isinstance(owner, Layer)]
        layers = [layer for owner in owners for _, layer in owner.named_layers()]
        self.random = [(layer, layer.key, layer.drawn) for layer in layers if isinstance(layer, RandomLayer)]
        self.buffers = [(held, held.array.copy()) for owner in owners for _, held in owner.named_buffers()]
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self.inputs = [_copy(one) for one in given]
        self.sources = self._sources(owners, () if isinstance(parameters, Layer) else parameters)
        self.worst: tuple[float, str, tuple[int, ...], float, float] = (-1.0, "", (), 0.0, 0.0)
        self.checked = self.redrawn = 0
        try:
            first, second = self.output(), self.output()
        finally:
            self.restore()
        if not np.array_equal(first, second, equal_nan=True):
            raise GradientError(
                "gradcheck: the function gave two results for one input, so it has no derivative; call eval() on its "
                "random layers, or hand the Layer over (as function or parameters=), so that it draws the same masks."
            )
        self.incoming = generator.standard_normal(first.shape)

    def _sources(self, owners: Sequence[Layer], parameters: Iterable[Tensor]) -> list[_Source]:
        tensors = [(position, one) for position, one in enumerate(self.inputs) if isinstance(one, Tensor)]
        floats = [(position, one) for position, one in tensors if one.dtype.kind == "f"]
        wanted = [(position, one) for position, one in floats if one.requires_grad] or floats
        found = [(f"input {position}" + (f" {one.name!r}" if one.name else ""), one) for position, one in wanted]
        for owner in owners:
            found += [(f"parameter {name!r}", one) for name, one in owner.named_parameters() if one.requires_grad]
        for position, one in enumerate(parameters):
            if not isinstance(one, Tensor) or not one.is_leaf or not one.requires_grad:
                raise GradientError(
                    f"gradcheck: parameter {position} is no leaf Tensor that requires a gradient; give such ones."
                )
            found.append((f"parameter {position}" + (f" {one.name!r}" if one.name else ""), one))
        unique: dict[int, tuple[str, Tensor]] = {}
        for where, one in found:
            unique.setdefault(id(one), (where, one))
        for where, one in unique.values():
            if one.dtype != np.float64:
                raise DtypeError(
                    f"gradcheck: {where} is of {one.dtype}, too coarse for differences; convert it (or the whole "
                    f'layer) with .to(dtype="float64").'
                )
            if one._node is None:
                one.requires_grad_()
        sources = [_Source(one, where, one.array.copy()) for where, one in unique.values()]
        if not any(source.tensor.size for source in sources):
            raise GradientError("gradcheck: nothing is there to check; give inputs of floats, or parameters=.")
        return sources

    def _call(self) -> Tensor:
        for layer, key, drawn in self.random:
            layer.reseed(key, drawn)
        return tensor_result("gradcheck", self.function(*self.inputs))

    def restore(self) -> None:
        """Put parameters, buffers and the counters of random layers back."""
        for source in self.sources:
            source.tensor.backend.xp.copyto(source.tensor.array, source.before)
        for layer, key, drawn in self.random:
            layer.reseed(key, drawn)
        for buffer, before in self.buffers:
            buffer.backend.xp.copyto(buffer.array, before)

    def output(self) -> "np.ndarray[Any, Any]":
        """The function's value at the present point, on the host."""
        with recording(False):
            return self._call().numpy()

    def analytic(self, source: _Source) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """The function's value at the present point, and back-propagation's gradient of the source there."""
        with recording(True):
            output = self._call()
        gradient = None
        if output.requires_grad:
            incoming = output.backend.asarray(self.incoming, output.dtype)
            (gradient,) = leaf_gradients(output, incoming, [source.tensor])
        if gradient is None:
            return output.numpy(), np.zeros(source.tensor.shape)
        return output.numpy(), np.array(source.tensor.backend.to_host(gradient))

    def compare(self, source: _Source, attempts: int) -> None:
        """Check every element of a source, and those beside a kink again."""
        waiting = list(np.ndindex(source.tensor.shape))
        for attempt in range(attempts + 1):
            centre, gradient = self.analytic(source)
            kinks = []
            for index in waiting:
                differences = self.differences(source.tensor, index, centre)
                analytic, numeric = float(gradient[index]), differences.slope
                error = abs(analytic - numeric) / max(1.0, abs(analytic), abs(numeric))
                if error > self.tolerance and 2 * differences.contradiction >= abs(analytic - numeric):
                    kinks.append(index)
                    continue
                self.checked += 1
                self._note(error if np.isfinite(error) else np.inf, source.where, index, analytic, numeric)
            if not kinks:
                return
            if attempt < attempts:
                self.redrawn += len(kinks)
                for index in kinks:
                    step = self.h * self.generator.uniform(100, 300) * self.generator.choice((-1, 1))
                    source.tensor.array[index] += step
            waiting = kinks
        raise GradientError(
            f"gradcheck: {source.where}{_brackets(waiting[0])} sits beside a kink, also after being drawn again "
            f"{attempts} times, so its derivative cannot be told; start elsewhere, or use an h below {self.h:g}."
        )

    def _note(self, error: float, where: str, index: tuple[int, ...], analytic: float, numeric: float) -> None:
        if error > self.worst[0]:
            self.worst = (error, where, index, analytic, numeric)

    def differences(self, tensor: Tensor, index: tuple[int, ...], centre: "np.ndarray[Any, Any]") -> _Differences:
        """Slopes of sum(incoming output) along one element, from its values at -h, -h/2, 0, h/2 and h.

        Outputs are subtracted before they are summed up: what does not change cancels without rounding.
        """
        here = tensor.array[index].copy()
        outputs, places = [], []
        for step in (-self.h, -self.h / 2, 0.0, self.h / 2, self.h):
            tensor.array[index] = here + step
            places.append(_host(tensor, index))
            outputs.append(self.output() if step else centre)
        tensor.array[index] = here

        def slope(low: int, high: int) -> float:
            return float(np.sum(self.incoming * (outputs[high] - outputs[low]))) / (places[high] - places[low])

        wide, narrow = slope(0, 4), slope(1, 3)
        # By how much the slope jumps at the point: in proportion to h where the function is smooth, so that twice the
        # jump at h/2 is that at h. Beside a kink, at any distance, this or wide - narrow is half the error or more.
        jump, near_jump = slope(2, 4) - slope(0, 2), slope(2, 3) - slope(1, 2)
        return _Differences((4 * narrow - wide) / 3, max(abs(wide - narrow), abs(jump - 2 * near_jump)))

    def report(self) -> GradientReport:
        error, where, index, analytic, numeric = self.worst
        ok = error <= self.tolerance
        return GradientReport(ok, error, where, index, analytic, numeric, self.tolerance, self.checked, self.redrawn)


def _host(tensor: Tensor, index: tuple[int, ...]) -> float:
    return float(tensor.backend.to_host(tensor.array[index]))


def _brackets(index: tuple[int, ...]) -> str:
    return str(list(index)) if index else ""


def _copy(one: Any) -> Any:
    """A copy of an input that the check may move; what is no Tensor and no numbers is handed on."""
    if isinstance(one, Tensor):
        copy = Tensor(one, name=one.name)
        return copy.requires_grad_() if one.requires_grad else copy
    if isinstance(one, (list, tuple, float)):
        return Tensor(np.asarray(one))  # lists of Python floats stay float64 here
    return Tensor(one) if hasattr(one, "shape") else one
