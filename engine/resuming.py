"""What does a training need to go on exactly? What a checkpoint keeps, and how it is taken back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ArgumentError, DataError, EngineError

if TYPE_CHECKING:
    from engine.trainer import Trainer

Arrays = dict[str, "np.ndarray[Any, Any]"]


def state_of(trainer: "Trainer") -> tuple[Arrays, dict[str, Any]]:
    """Arrays by name and plain values: weights, optimizer, averages, callbacks, random state, position, history."""
    optimizer = trainer.optimizer.state_dict()
    groups: dict[str, Mapping[str, Any]] = {
        "model": {name: one.numpy() for name, one in trainer.model.state_dict().items()},
        "optimizer": optimizer["tensors"],
        "ema": {} if trainer.ema is None else trainer.ema.state(),
    }
    plain: list[dict[str, Any]] = []
    for number, callback in enumerate(trainer.callbacks):
        state = callback.state()
        groups[f"callback {number}"] = {key: one for key, one in state.items() if isinstance(one, np.ndarray)}
        plain.append({key: one for key, one in state.items() if not isinstance(one, np.ndarray)})
    metadata = {
        "made of": _made_of(trainer),
        "optimizer": optimizer["settings"],
        "callbacks": plain,
        "random": [{"key": list(layer.key), "drawn": layer.drawn} for layer in trainer.random_layers],
        "position": {"epoch": trainer.epoch, "step": trainer.step, "seed": trainer.seed},
        "history": trainer.history.state(),
    }
    return {f"{group}/{name}": one for group, members in groups.items() for name, one in members.items()}, metadata


def go_on(trainer: "Trainer", tensors: Arrays, metadata: Mapping[str, Any], path: str) -> None:
    """Take back what `state_of` gave, in a trainer made alike; where it is not, nothing is changed."""
    if "position" not in metadata or "made of" not in metadata:
        raise DataError(f"{path}: not a trainer's checkpoint; it holds weights only. Use model.load_state_dict.")
    for part, own in _made_of(trainer).items():
        saved = metadata["made of"][part]
        if saved != own:
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
    for number, (callback, state) in enumerate(zip(trainer.callbacks, metadata["callbacks"], strict=True)):
        callback.load_state({**state, **group(f"callback {number}")})
    for layer, drawn in zip(trainer.random_layers, metadata["random"], strict=True):
        layer.reseed(tuple(drawn["key"]), drawn["drawn"])
    position = metadata["position"]
    trainer.epoch, trainer.step, trainer.seed = position["epoch"], position["step"], position["seed"]
    trainer.history.load_state(metadata["history"])


def _made_of(trainer: "Trainer") -> dict[str, Any]:
    """What must be alike in the trainer that saves and the one that loads."""
    return {
        "callbacks": [type(callback).__name__ for callback in trainer.callbacks],
        "random layers": [type(layer).__name__ for layer in trainer.random_layers],
        "ema": trainer.ema is not None,
    }
