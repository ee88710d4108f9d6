"""What does a training need to go on exactly? What a checkpoint keeps, and how it is taken back."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.callbacks import Callback
from engine.data import Batches
from engine.errors import ArgumentError, DataError, EngineError
from engine.layers.linear import precision_of
from engine.precision import operands_of

if TYPE_CHECKING:
    from engine.trainer import Trainer

Arrays = dict[str, "np.ndarray[Any, Any]"]


@dataclasses.dataclass
class SoFar:
    """What is done of the epoch that is under way; the metrics keep their own sums.

    Attributes:
        batches: how many are done.
        of, batch_size: how many batches an epoch has, and of how many samples.
        total, counted: the sum of the losses, and of what each counts.
        skipped: steps that were, for a smaller loss scale.
        earlier: seconds until `go_on` was called last.
    """

    of: int
    batch_size: int
    batches: int = 0
    total: float = 0.0
    counted: float = 0.0
    earlier: float = 0.0
    skipped: int = 0

    def __post_init__(self) -> None:
        self._began: float | None = None

    @classmethod
    def begin(cls, batches: Batches) -> "SoFar":
        """Nothing is done of a pass over these batches."""
        return cls(len(batches), batches.batch_size)

    def check(self, batches: Batches) -> None:
        """Refuse to go on with the rest of an epoch of other batches."""
        if (self.of, self.batch_size) != (len(batches), batches.batch_size):
            raise ArgumentError(
                f"Trainer: {self.batches} of {self.of} batches of {self.batch_size} are done, and {len(batches)} of "
                f"{batches.batch_size} were given; go on with the data and the batch size of before."
            )

    def go_on(self) -> None:
        """The clock runs from now on."""
        self._began = time.perf_counter()

    def seconds(self) -> float:
        """What the epoch took until now."""
        return self.earlier if self._began is None else self.earlier + time.perf_counter() - self._began

    def add(self, losses: Sequence[float], share: float, count: float) -> None:
        """Batches with these losses are done, of which each adds its loss times ``share`` and counts ``count``."""
        total, counted = self.total, self.counted
        for loss in losses:
            total, counted = total + loss * share, counted + count
        self.batches, self.total, self.counted = self.batches + len(losses), total, counted

    def state(self) -> dict[str, Any]:
        """Plain values, as the fields are called."""
        return dataclasses.asdict(self) | {"earlier": self.seconds()}


def state_of(trainer: "Trainer") -> tuple[Arrays, dict[str, Any]]:
    """Arrays by name and plain values: weights, optimizer, averages, callbacks, random state, position, history."""
    optimizer = trainer.optimizer.state_dict()
    groups: dict[str, Mapping[str, Any]] = {
        "model": {name: one.numpy() for name, one in trainer.model.state_dict().items()},
        "optimizer": optimizer["tensors"],
        "ema": {} if trainer.ema is None else trainer.ema.state(),
        "loss scale": {} if trainer.loss_scale is None else trainer.loss_scale.state(),
    }
    plain: list[dict[str, Any]] = []
    for number, callback in enumerate(_stateful(trainer)):
        arrays, values = _parted(callback.state())
        groups[f"callback {number}"] = arrays
        plain.append(values)
    under_way = None if trainer._so_far is None else {"so far": trainer._so_far.state(), "metrics": {}}
    if under_way is not None:
        for name, metric in trainer._metrics.items():
            groups[f"metric {name}"], under_way["metrics"][name] = _parted(metric.state())
    metadata = {
        "made of": _made_of(trainer),
        "optimizer": optimizer["settings"],
        "callbacks": plain,
        "random": [{"key": list(layer.key), "drawn": layer.drawn} for layer in trainer.random_layers],
        "position": {
            "epoch": trainer.epoch,
            "step": trainer.step,
            "skipped": trainer.skipped,
            "seed": trainer.seed,
            "stop_reason": trainer.stop_reason,
            "under way": under_way,
        },
        "history": trainer.history.state(),
    }
    return {f"{group}/{name}": one for group, members in groups.items() for name, one in members.items()}, metadata


def go_on(trainer: "Trainer", tensors: Arrays, metadata: Mapping[str, Any], path: str) -> None:
    """Take back what `state_of` gave, in a trainer made alike; where it is not, nothing is changed."""
    if "position" not in metadata or "made of" not in metadata:
        raise DataError(f"{path}: not a trainer's checkpoint; it holds weights only. Use model.load_state_dict.")
    position = metadata["position"]
    under_way = position["under way"]
    for part, own in _made_of(trainer).items():
        saved = metadata["made of"].get(part, own)  # older ones know nothing of precisions
        if saved != own and (part != "metrics" or under_way is not None):
            raise ArgumentError(
                f"{path}: it was saved with {part} {saved}, this trainer has {own}; make it like the one that saved."
            )

    def group(name: str) -> Arrays:
        return {key[len(name) + 1 :]: one for key, one in tensors.items() if key.startswith(f"{name}/")}

    weights = trainer.model.state_dict()
    trainer.model.load_state_dict(group("model"))
    try:
        trainer.optimizer.load_state_dict({"tensors": group("optimizer"), "settings": metadata["optimizer"]})
    except EngineError:
        trainer.model.load_state_dict(weights)
        raise
    if trainer.ema is not None:
        trainer.ema.load_state(group("ema"))
    if trainer.loss_scale is not None:
        trainer.loss_scale.load_state(group("loss scale"))
    for number, (callback, state) in enumerate(zip(_stateful(trainer), metadata["callbacks"], strict=True)):
        callback.load_state({**state, **group(f"callback {number}")})
    for layer, drawn in zip(trainer.random_layers, metadata["random"], strict=True):
        layer.reseed(tuple(drawn["key"]), drawn["drawn"])
    trainer.epoch, trainer.step, trainer.seed = position["epoch"], position["step"], position["seed"]
    trainer.stop_reason, trainer.skipped = position["stop_reason"], position.get("skipped", 0)
    trainer.history.load_state(metadata["history"])
    trainer._so_far = None if under_way is None else SoFar(**under_way["so far"])
    for name, values in ({} if under_way is None else under_way["metrics"]).items():
        trainer._metrics[name].load_state({**values, **group(f"metric {name}")}, trainer.backend)


def _made_of(trainer: "Trainer") -> dict[str, Any]:
    """What must be alike in the trainer that saves and the one that loads."""
    return {
        "callbacks": [type(callback).__name__ for callback in _stateful(trainer)],
        "random layers": [type(layer).__name__ for layer in trainer.random_layers],
        "ema": trainer.ema is not None,
        "metrics": list(trainer._metrics),
        "rounded products": [one for one in precision_of(trainer.model).split(" and ") if operands_of(one)],
    }


def _stateful(trainer: "Trainer") -> list[Callback]:
    """The callbacks that keep a state: of the others there may be more or fewer, such as a bar on a terminal."""
    return [callback for callback in trainer.callbacks if type(callback).state is not Callback.state]


def _parted(state: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """A state's arrays, and its plain values."""
    arrays = {key: one for key, one in state.items() if isinstance(one, np.ndarray)}
    return arrays, {key: one for key, one in state.items() if key not in arrays}
