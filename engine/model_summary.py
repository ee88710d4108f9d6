"""How large is a model, and how much work is a step? One row a layer: shapes, parameters, FLOPs, activation bytes.

The model runs once on a few samples of zeros, in evaluation mode, so that no running mean and no dropout counter moves.
The numbers are those of one training step with ``batch_size`` samples, by the rules in `engine.work`; the loss, the
optimizer and the penalty are not counted. "?" marks what only its author knows: the operations that a layer of your own
does itself, beside those of the layers in it; the totals then say that they are lower bounds.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine import autodiff
from engine.convert import normal_dtype
from engine.errors import ArgumentError, EngineError
from engine.layers.layer import Layer
from engine.layers.linear import positive_whole, precision_of
from engine.optimizers import SGD, Adam
from engine.recording.size import step_bytes
from engine.tensor import Parameter, Tensor
from engine.work import Call, work

__all__ = ["Row", "Summary", "evaluation", "summary"]

_SAMPLES = 7  # that the model is run on: a prime, so that an axis which holds the batch is seldom taken for another
_WIDTH = 100  # columns of a terminal
_TEXTS = 3  # columns of the table that are texts; the others are numbers
_TEXT_WIDTHS = (6, 8, 12)  # what the texts' columns get down to together where the table is too wide


@dataclass(frozen=True)
class Row:
    """One call of one layer.

    Attributes:
        name, kind: its dotted name in the model, and its class.
        output_shape: with "batch" where the batch is; a tuple of several if the layer returns several tensors.
        parameters, frozen: elements of its parameters, and of those how many are frozen; 0 if counted in a row above.
        forward_flops, backward_flops: of a training step; None where only the layer's author knows.
        activation_bytes: what its forward pass keeps for backward.
    """

    name: str
    kind: str
    output_shape: tuple[Any, ...]
    parameters: int
    frozen: int
    forward_flops: int | None
    backward_flops: int | None
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """What `summary` found; printed, it is a table.

    Attributes:
        rows: one a layer, in the order of the calls; a layer that is called twice has two.
        input_shape, batch_size, dtype: what was asked for.
        precision: of the products of matrices: what their operands are rounded to, else the weights' type.
        parameters, frozen: elements of all parameters, and of those how many are frozen.
        parameter_bytes, gradient_bytes: of all parameters, and of the gradients of those that are trained.
        optimizer_bytes: the state that optimizers keep for them, by optimizer.
        input_bytes: of one batch.
        largest_bytes: of the largest output of a layer.
        not_called: layers that the forward pass did not reach.
        step_bytes: what a recorded training step works in (`engine.capture`): batch, activations and gradients, in
            memory that is used again; None where the model cannot be recorded.
    """

    rows: tuple[Row, ...]
    input_shape: tuple[int, ...]
    batch_size: int
    dtype: str
    parameters: int
    frozen: int
    parameter_bytes: int
    gradient_bytes: int
    input_bytes: int
    largest_bytes: int
    not_called: tuple[str, ...]
    step_bytes: int | None = None
    precision: str = "float32"

    @property
    def forward_flops(self) -> int:
        """Of all rows; a lower bound where a row has None."""
        return sum(row.forward_flops or 0 for row in self.rows)

    @property
    def backward_flops(self) -> int:
        """Of all rows; a lower bound where a row has None."""
        return sum(row.backward_flops or 0 for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Of all rows."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def complete(self) -> bool:
        """Whether the FLOPs of every row are known."""
        return all(row.forward_flops is not None for row in self.rows)

    @property
    def peak_activation_bytes(self) -> int:
        """About the most that batch, activations and their gradients take in a training step, nothing being reused.

        The batch, what every layer keeps, and the gradients of the output and the input of the largest layer.
        """
        return self.input_bytes + self.activation_bytes + 2 * self.largest_bytes

    @property
    def optimizer_bytes(self) -> dict[str, int]:
        """State for the trained parameters: none for plain SGD, one array with momentum, two for Adam."""
        return {"SGD": 0, "SGD with momentum": self.gradient_bytes, "Adam": 2 * self.gradient_bytes}

    @property
    def training_bytes(self) -> dict[str, int]:
        """What a training holds at the most while its recorded steps are replayed, by optimizer.

        Parameters, gradients and states, what the optimizer works in, and the recorded step; in place of that what an
        eager step takes, where none can be recorded. Not in it: the data set, or, on a GPU that does not hold it, the
        batch that was copied there and the next; what a kernel allocates for itself; and what is held for a moment more
        while the first step is recorded, when no memory is used again yet.
        """
        step = self.peak_activation_bytes if self.step_bytes is None else self.step_bytes
        fixed = self.parameter_bytes + self.gradient_bytes + step
        work = {"SGD": SGD.work, "SGD with momentum": SGD.work, "Adam": Adam.work}
        return {
            name: fixed + states + work[name] * self.gradient_bytes for name, states in self.optimizer_bytes.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dictionaries, lists and numbers, for JSON."""
        result = asdict(self)
        result["rows"] = [asdict(row) | {"output_shape": _plain(row.output_shape)} for row in self.rows]
        result["input_shape"], result["not_called"] = list(self.input_shape), list(self.not_called)
        for name in ("forward_flops", "backward_flops", "activation_bytes", "complete", "peak_activation_bytes"):
            result[name] = getattr(self, name)
        return result | {"optimizer_bytes": self.optimizer_bytes, "training_bytes": self.training_bytes}

    def __str__(self) -> str:
        table = _table(self, _exact)
        return table if max(map(len, table.splitlines())) <= _WIDTH else _table(self, _rounded)

    __repr__ = __str__


def summary(model: Layer, input_shape: int | Sequence[int], batch_size: int = 1, dtype: Any = None) -> Summary:
    """Shapes, parameters, FLOPs and bytes of a model, layer by layer; print it to see a table.

    Args:
        model: any layer. Its mode, buffers, counters and gradients stay as they are.
        input_shape: of one sample, without the batch: (64,) or 64.
        batch_size: the samples of the training step that the numbers are for.
        dtype: of the input; that of the parameters where None.

    Raises:
        ShapeError: the model does not take this input: the layer's own error, with the layer's name.
        ArgumentError: a shape or a batch size that is none.

    >>> import engine as en
    >>> report = summary(en.Sequential(en.Linear(64, 128), en.ReLU(), en.Linear(128, 10)), (64,), batch_size=32)
    >>> report.parameters, report.forward_flops
    (9610, 614720)
    >>> report.rows[1].name, report.rows[1].kind, report.rows[1].output_shape
    ('1', 'ReLU', ('batch', 128))
    """
    if not isinstance(model, Layer):
        raise ArgumentError(f"summary: the model is of {type(model).__name__}; give a layer, such as Sequential(...).")
    shape = _sample_shape(input_shape)
    batch_size = positive_whole("summary", "batch_size", batch_size)
    floats = [member.dtype for _, member in model.named_members() if member.dtype.kind == "f"]
    kind = normal_dtype(dtype) if dtype is not None else (floats[0] if floats else np.dtype("float32"))
    listener = _Listener(model, batch_size)
    x = Tensor(np.zeros((_SAMPLES, *shape), kind), device=model.device)
    try:
        # Recorded, so that every tensor tells whether a gradient goes to it; no backward follows, and nothing is kept.
        with evaluation(model), _recording(), listener.listening():
            model(x)
    except EngineError as error:
        place = f"layer {listener.failed[0]!r} ({listener.failed[1]})" if listener.failed[0] else listener.failed[1]
        raise type(error)(f"summary: {place}, on {_SAMPLES} samples of shape {shape}: {error}") from None
    trained = [one for one in model.parameters() if one.requires_grad]
    return Summary(
        rows=tuple(listener.rows),
        input_shape=shape,
        batch_size=batch_size,
        dtype=str(kind),
        parameters=sum(one.size for one in model.parameters()),
        frozen=sum(one.size for one in model.parameters() if not one.requires_grad),
        parameter_bytes=sum(one.array.nbytes for one in model.parameters()),
        gradient_bytes=sum(one.array.nbytes for one in trained),
        input_bytes=math.prod(shape) * kind.itemsize * batch_size,
        largest_bytes=listener.largest_bytes,
        not_called=tuple(name for name, layer in model.named_layers() if name and id(layer) not in listener.called),
        step_bytes=step_bytes(model, shape, kind, batch_size),
        precision=precision_of(model),
    )


def _sample_shape(given: Any) -> tuple[int, ...]:
    lengths = (given,) if isinstance(given, (int, np.integer)) and not isinstance(given, bool) else given
    if not isinstance(lengths, (tuple, list)) or not all(
        isinstance(one, (int, np.integer)) and not isinstance(one, bool) and one > 0 for one in lengths
    ):
        raise ArgumentError(f"summary: input_shape {given!r} was given; it is one sample's, without the batch: (64,).")
    return tuple(int(one) for one in lengths)


@contextlib.contextmanager
def evaluation(model: Layer) -> Iterator[None]:
    """A block in which a model is in evaluation mode; after it, every layer is in the mode in which it was."""
    modes = [(layer, layer.training) for _, layer in model.named_layers()]
    model.eval()
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode


@contextlib.contextmanager
def _recording() -> Iterator[None]:
    """A block in which operations are recorded, whatever is around it."""
    before, autodiff.mode.enabled = autodiff.mode.enabled, True
    try:
        yield
    finally:
        autodiff.mode.enabled = before


# -- listening to the calls ----------------------------------------------------------------------------


class _Frame:
    """A call that is not over: the tensors that came in, or out of layers in it, and whether it did anything itself."""

    def __init__(self, inputs: list[Tensor]) -> None:
        self.known = inputs
        self.only_hands_on = True

    def hands_on(self, tensors: list[Tensor]) -> None:
        here = {id(one) for one in self.known}
        self.only_hands_on = self.only_hands_on and all(id(one) in here for one in tensors)


class _Listener:
    """Makes a row of every call of a layer, by a forward function of the listener's in the place of each layer's."""

    def __init__(self, model: Layer, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size
        self.rows: list[Row] = []
        self.largest_bytes = 0
        self.called: set[int] = set()
        self.failed = ("", type(model).__name__)  # the innermost layer that raised
        self._has_failed = False
        self._frames: list[_Frame] = []
        self._counted: set[int] = set()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        layers = list(self.model.named_layers())
        own = [(layer, layer.__dict__.get("forward")) for _, layer in layers]
        try:
            for name, layer in layers:
                object.__setattr__(layer, "forward", self._wrapped(name, layer, layer.forward))
            yield
        finally:
            for layer, before in own:
                layer.__dict__.pop("forward", None)
                if before is not None:
                    object.__setattr__(layer, "forward", before)

    def _wrapped(self, name: str, layer: Layer, forward: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*inputs: Any, **settings: Any) -> Any:
            given = list(_tensors((inputs, tuple(settings.values()))))
            if self._frames:
                self._frames[-1].hands_on(given)
            frame = _Frame(given)
            self._frames.append(frame)
            try:
                output = forward(*inputs, **settings)
            except EngineError:
                if not self._has_failed:
                    self.failed, self._has_failed = (name, type(layer).__name__), True
                raise
            finally:
                self._frames.pop()
            made = list(_tensors(output))
            frame.hands_on(made)
            if self._frames:
                self._frames[-1].known.extend(made)
            self.called.add(id(layer))
            self._add_row(name, layer, given, made, frame.only_hands_on)
            return output

        return recorded

    def _add_row(self, name: str, layer: Layer, given: list[Tensor], made: list[Tensor], only_hands_on: bool) -> None:
        own = [member for member in layer._members.values() if isinstance(member, Parameter)]
        is_leaf = next(layer.named_children(), None) is None
        if only_hands_on and not is_leaf and not own:
            return  # a chain: its layers have rows of their own
        parameters = list({id(one): one for one in own if id(one) not in self._counted}.values())
        self._counted.update(map(id, parameters))
        call = Call(
            samples=self.batch_size,
            elements=sum(self._elements(one) for one in made),
            itemsize=made[0].dtype.itemsize if made else 0,
            to_input=any(one.requires_grad for one in given),
        )
        output_bytes = call.elements * call.itemsize
        self.largest_bytes = max(self.largest_bytes, output_bytes)
        unknown = (0, 0, 0) if only_hands_on else (None, None, output_bytes)
        forward, backward, kept = work(layer, call) or unknown
        if backward and not any(one.requires_grad for one in made):
            backward = 0
        shapes = tuple(self._shape(one) for one in made)
        self.rows.append(
            Row(
                name=name,
                kind=type(layer).__name__,
                output_shape=shapes[0] if len(shapes) == 1 else shapes,
                parameters=sum(one.size for one in parameters),
                frozen=sum(one.size for one in parameters if not one.requires_grad),
                forward_flops=forward,
                backward_flops=backward,
                activation_bytes=kept,
            )
        )

    def _elements(self, tensor: Tensor) -> int:
        """Elements at the asked batch size; what does not grow with the samples stays."""
        return tensor.size * self.batch_size // _SAMPLES if tensor.size % _SAMPLES == 0 else tensor.size

    def _shape(self, tensor: Tensor) -> tuple[int | str, ...]:
        shape: list[int | str] = list(tensor.shape)
        if _SAMPLES in shape:
            shape[shape.index(_SAMPLES)] = "batch"
        elif tensor.ndim and tensor.shape[0] % _SAMPLES == 0:
            shape[0] = f"{tensor.shape[0] // _SAMPLES} batch"  # other axes were put into the batch's
        return tuple(shape)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


# -- the table -----------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _exact(number: int) -> str:
    return f"{number:,}"


def _rounded(number: int) -> str:
    """Four digits and a unit of a thousand: 8,589,934,592 becomes 8.590 G."""
    if number < 10_000_000:
        return f"{number:,}"
    scale = (len(str(number)) - 1) // 3
    return f"{number / 1000**scale:.{3 - (len(str(number)) - 1) % 3}f} {' kMGTPE'[scale]}"


def _shown(shape: tuple[Any, ...]) -> str:
    parts = [_shown(one) if isinstance(one, tuple) else str(one) for one in shape]
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


def _shortened(text: str, width: int) -> str:
    """The start and the end of a text that is too long, with ~ between them."""
    return text if len(text) <= width else f"{text[: (width - 1) // 2]}~{text[len(text) - width // 2 :]}"


def _table(report: Summary, number: Callable[[int], str]) -> str:
    least = "" if report.complete else ">= "
    lines: list[tuple[str, ...]] = [
        ("layer", "kind", "output shape", "parameters", "frozen", "forward FLOPs", "backward FLOPs", "activ. bytes")
    ]
    for row in report.rows:
        flops = ("?" if one is None else number(one) for one in (row.forward_flops, row.backward_flops))
        parameters = number(row.parameters), number(row.frozen)
        place = row.name or "(model)", row.kind, _shown(row.output_shape)
        lines.append((*place, *parameters, *flops, number(row.activation_bytes)))
    parameters = number(report.parameters), number(report.frozen)
    flops = (least + number(one) for one in (report.forward_flops, report.backward_flops))
    lines.append(("total", "", "", *parameters, *flops, number(report.activation_bytes)))
    if not report.frozen:
        lines = [cells[:4] + cells[5:] for cells in lines]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    if number is _rounded:
        while sum(widths) + 2 * (len(widths) - 1) > _WIDTH:
            longest = max(range(_TEXTS), key=lambda column: widths[column] - _TEXT_WIDTHS[column])
            widths[longest] -= 1
    text = [_line(cells, widths) for cells in lines]
    rule = "-" * max(map(len, text))
    return "\n".join([text[0], rule, *text[1:-1], rule, text[-1], "", *_foot(report)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    sized = list(zip(cells, widths, strict=True))
    texts = [_shortened(cell, width).ljust(width) for cell, width in sized[:_TEXTS]]
    return "  ".join([*texts, *(cell.rjust(width) for cell, width in sized[_TEXTS:])])


def _foot(report: Summary) -> list[str]:
    samples = f"{report.batch_size:,} sample{'s' * (report.batch_size > 1)}"
    states = ", ".join(f"{name} {size:,}" for name, size in report.optimizer_bytes.items())
    products = "" if report.precision == report.dtype else f", products in {report.precision}"
    facts = [
        ("one step", f"{samples} of shape {_shown(report.input_shape)}, {report.dtype}{products}"),
        ("parameters", f"{report.parameter_bytes:,} bytes; gradients {report.gradient_bytes:,} bytes"),
        ("optimizer state", f"{states} bytes"),
        ("peak activations", f"about {report.peak_activation_bytes:,} bytes in training, with batch and gradients"),
    ]
    if report.step_bytes is not None:
        facts.append(("recorded step", f"{report.step_bytes:,} bytes instead, as memory is used again"))
    totals = ", ".join(f"{name} {_rounded(size)}" for name, size in report.training_bytes.items())
    facts.append(("training in all", f"{totals} bytes"))
    if not report.complete:
        facts.append(("?", "a layer's own operations, not counted: totals are lower bounds"))
    if report.not_called:
        facts.append(("not called", _shortened(", ".join(report.not_called), 78)))
    return [f"{name:<18}{fact}" for name, fact in facts]
