"""What is a layer? Named parameters, buffers and layers below it, a mode, and a forward function."""

from collections.abc import Iterator, Mapping
from typing import Any

import backends
from backends.backend import Backend
from backends.kernels.pair import Array
from engine.convert import host_array, is_dtype_name
from engine.errors import ArgumentError, DeviceError, DtypeError, ShapeError, unknown_name
from engine.precision import operands_of, weights_of
from engine.settings import model_dtype
from engine.tensor import Parameter, Tensor

__all__ = ["Buffer", "Layer"]


class Buffer(Tensor):
    """Values of a layer that are saved and moved with it, but not trained: running means, for example."""


class Layer:
    """A part of a model. Subclass it, set parameters and layers as attributes, and define ``forward``.

    Attributes:
        training: whether it is in train mode; `train` and `eval` set it for everything below too.

    >>> import engine as en
    >>> class Gate(en.Layer):
    ...     def __init__(self, features):
    ...         super().__init__()
    ...         self.inner = en.Linear(features, features)
    ...     def forward(self, x):
    ...         return x * self.inner(x).sigmoid()
    >>> [name for name, parameter in Gate(3).named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    def __init__(self) -> None:
        self.training = True
        self._members: dict[str, Parameter | Buffer | Layer] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _TAKEN:
            owner = type(self).__name__
            raise ArgumentError(f"{owner}.{name}: every layer has a {name} of its own; choose another name.")
        members = self.__dict__.get("_members")
        if isinstance(value, (Parameter, Buffer, Layer)):
            if members is None:
                raise ArgumentError(
                    f"{type(self).__name__}.{name}: call super().__init__() before setting parameters and layers."
                )
            members[name] = value
            if isinstance(value, Parameter) and value.name is None:
                value.name = name
        elif members is not None:
            members.pop(name, None)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._members.pop(name, None)
        object.__delattr__(self, name)

    def forward(self, *inputs: Any) -> Any:
        """What the layer computes; called by ``layer(x)``."""
        raise NotImplementedError(f"{type(self).__name__} has no forward: define forward(self, x).")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def config(self) -> dict[str, Any]:
        """The settings that make a layer like this one; by default its plain attributes."""
        kinds = (bool, int, float, str, type(None), tuple)
        return {
            name: value
            for name, value in vars(self).items()
            if name != "training" and not name.startswith("_") and isinstance(value, kinds)
        }

    # -- what is inside --------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, "Layer"]]:
        """The layers directly below, with their names."""
        for name, member in self._members.items():
            if isinstance(member, Layer):
                yield name, member

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """This layer and all below it, each once, with dotted names ("" for this one)."""
        seen: set[int] = set()
        waiting: list[tuple[str, Layer]] = [(prefix, self)]
        while waiting:
            name, layer = waiting.pop()
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            yield name, layer
            below = [(part, child) for part, child in layer._members.items() if isinstance(child, Layer)]
            waiting += [(f"{name}.{part}" if name else part, child) for part, child in reversed(below)]

    def named_members(self) -> Iterator[tuple[str, "Parameter | Buffer"]]:
        """Every parameter and buffer once, with its dotted name."""
        seen: set[int] = set()
        for prefix, layer in self.named_layers():
            for name, member in layer._members.items():
                if isinstance(member, (Parameter, Buffer)) and id(member) not in seen:
                    seen.add(id(member))
                    yield (f"{prefix}.{name}" if prefix else name), member

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its dotted name."""
        return ((name, member) for name, member in self.named_members() if isinstance(member, Parameter))

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer once, with its dotted name."""
        return ((name, member) for name, member in self.named_members() if isinstance(member, Buffer))

    def parameters(self) -> list[Parameter]:
        """Every parameter once, in order."""
        return [parameter for _, parameter in self.named_parameters()]

    @property
    def device(self) -> str:
        """Where the parameters are; "cpu" for a layer without any."""
        return next((member.device for _, member in self.named_members()), "cpu")

    # -- saved and loaded ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of every parameter and buffer, by dotted name."""
        return {name: Tensor(member) for name, member in self.named_members()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over saved values in place: the Parameter objects stay, and an optimizer that holds them goes on.

        Raises:
            UnknownNameError, ShapeError, DtypeError: a name is missing or unknown, a shape or kind differs; nothing is
                changed then.
        """
        members = dict(self.named_members())
        arrays = {}
        for name in state:
            if name not in members:
                raise unknown_name("load_state_dict: entry", name, members)
        for name, member in members.items():
            if name not in state:
                raise unknown_name("load_state_dict: the state has no entry for", name, state)
            arrays[name] = array = _state_array(name, state[name], member)
            if array.shape != member.shape:
                raise ShapeError(
                    f"load_state_dict: {name} has shape {array.shape} in the state, {member.shape} in the model."
                )
            if array.dtype.kind != member.dtype.kind:
                raise DtypeError(
                    f"load_state_dict: {name} is of {array.dtype} in the state, {member.dtype} in the model."
                )
        for name, member in members.items():
            member.backend.xp.copyto(member.array, member.backend.asarray(arrays[name], member.dtype))
            member.touched()

    # -- modes and places ------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> "Layer":
        """Put this layer and all below it into train mode; returns the layer itself."""
        for _, layer in self.named_layers():
            object.__setattr__(layer, "training", mode)  # no member: a prediction sets it twice
        return self

    def eval(self) -> "Layer":
        """Put this layer and all below it into evaluation mode; returns the layer itself."""
        return self.train(False)

    def to(self, device: str | Backend | None = None, dtype: Any = None, precision: str | None = None) -> "Layer":
        """Move parameters and buffers to a device, convert them, or set a precision; returns the layer itself.

        Args:
            device: where to.
            dtype: of parameters and buffers, float32 or float64; float64 ends a precision of fewer bits.
            precision: float32 and float64 are those dtypes, with products to match. With tf32, bfloat16 and float16
                everything stays float32 but the operands of the products of Linear and Maxout, forward and backward:
                they are rounded to that type, and summed up in float32.

        The Parameter objects stay the same; gradients are forgotten where something changes.

        >>> import engine as en
        >>> en.Linear(2, 1).to(dtype="float64").weight.dtype
        dtype('float64')
        >>> en.Linear(2, 1).to(precision="bfloat16")
        Linear(in_features=2, out_features=1, bias=True, precision='bfloat16')
        """
        if device is not None and dtype is None and is_dtype_name(device):
            raise DeviceError(f"device {device!r} is a dtype; write .to(dtype={device!r}).")
        backend = None if device is None else backends.get(device)
        if precision is not None:
            if dtype is not None:
                raise ArgumentError("to: dtype and precision were given; the precision says the dtype. Leave it out.")
            dtype = weights_of(precision)
        wanted = None if dtype is None else model_dtype("to", dtype)
        operands = None if precision is None else operands_of(precision)
        anew: set[int] = set()  # recordings of another precision must not fit: its weights are in other arrays
        for _, layer in self.named_layers():
            layer.moved(backend)
            if (precision is not None or wanted == "float64") and layer._round_products(operands):
                anew.update(map(id, layer._members.values()))
        for _, member in self.named_members():
            place = member.backend if backend is None else backend
            kind = member.dtype if wanted is None or member.dtype.kind != "f" else wanted
            if place is member.backend and kind == member.dtype and id(member) not in anew:
                continue
            array = member.array if place is member.backend else member.backend.to_host(member.array)
            member.zero_grad()
            member._gradient_buffer = None
            member.array = place.copy(array, kind)
            member.backend = place
            member.moved()
            member.touched()
        return self

    def moved(self, backend: Backend | None) -> None:
        """Called by `to` on every layer, for what is neither a parameter nor a buffer."""

    def _round_products(self, operands: str | None) -> bool:
        """Called by `to` on every layer: round the operands of products to this type (None: do not).

        Returns whether that changes anything.
        """
        return False

    # -- shown -----------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.config().items())
        below = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        if not below:
            return f"{type(self).__name__}({settings})"
        return f"{type(self).__name__}({settings}\n" + "\n".join(below) + "\n)"


def _state_array(name: str, values: Any, member: Tensor) -> Array:
    """Saved values as an array that the member's device takes: its own, or the host's."""
    if isinstance(values, Tensor):
        return values.array if values.backend is member.backend else values.backend.to_host(values.array)
    if hasattr(values, "__cuda_array_interface__"):
        return values if member.backend.owns(values) else values.get()
    try:
        array = host_array(values, member.dtype)
    except (ShapeError, DtypeError) as error:
        raise type(error)(f"load_state_dict: {name}: {error}") from None
    return array.astype(member.dtype) if isinstance(values, (list, tuple, int, float)) else array


_TAKEN = frozenset(name for name in vars(Layer) if not name.startswith("_") and name not in ("forward", "training"))
"""What a model asks its layers for: an attribute of such a name would hide it."""


def as_input(x: Any, like: Tensor) -> Tensor:
    """An input as a Tensor; arrays go to the parameters' device and, if of floats, to their dtype."""
    if isinstance(x, Tensor):
        return x
    tensor = Tensor(x, device=like.backend)
    return tensor if tensor.dtype.kind != "f" or tensor.dtype == like.dtype else tensor.to(dtype=like.dtype)
