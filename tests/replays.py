"""Does a replayed step do what the eager one does? Every layer, loss and optimizer, recorded on a device, bit for bit.

Before each replay all that it should compute anew is overwritten, floats by NaN: what it reads without having written
it comes out. The cases are those of `parity.py`, and one for each precision of products: their operands are rounded, so
that two devices whose sums differ in the last bit may differ by far more, while a replay has the same bits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import parity
from parity import Case

import engine as en
from backends.kernels.rounding import DROPPED
from engine.recording.launches import Launch, is_of, launched

STEPS = 8


def cases() -> list[Case]:
    """What is recorded: on odd widths where operands are rounded, whose rows begin anywhere."""

    def rounded(precision: str) -> Case:
        def model(generator: np.random.Generator) -> en.Layer:
            layers = en.Linear(parity.INPUTS, 13, generator=generator), en.ReLU(), en.Linear(13, 9, generator=generator)
            maxout = en.Maxout(9, parity.CLASSES, pieces=2, generator=generator)
            return en.Sequential(*layers, maxout).to(precision=precision)

        return Case(f"products in {precision}", "precision", model, en.CrossEntropy, parity.sgd, parity.labels)

    return [*parity.cases(), *(rounded(precision) for precision in DROPPED)]


@dataclass
class Outcome:
    """What replays of one case gave.

    Attributes:
        replayed: how many steps were replays; 0 where the case runs eagerly.
        poisoned: how many arrays were overwritten before them, in all.
        reason: why it runs eagerly.
        where: what was not the same bits first, and after which step; None where all was.
        launches: how many launches of several kernels a step is at the end.
        between: the kernels that are called by themselves between these.
    """

    case: str
    kind: str
    dtype: str
    steps: int
    replayed: int = 0
    poisoned: int = 0
    reason: str | None = None
    where: str | None = None
    launches: int = 0
    between: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.where is not None:
            return f"{self.case} ({self.dtype}): {self.where} is not the eager step's"
        ran = f"{self.replayed} of {self.steps} steps replayed, {self.poisoned} arrays overwritten"
        return f"{self.case} ({self.dtype}): " + (ran if self.reason is None else f"eager, because {self.reason}")


class Side:
    """A case on a device: the step as a function, and the state that it leaves."""

    def __init__(self, case: Case, device: Any, dtype: str) -> None:
        self.model = case.model(np.random.default_rng(7)).to(dtype=dtype).to(device=device)
        self.loss, self.device = case.loss(), device
        self.optimizer = case.optimizer(self.model.parameters())

    def step(self, x: en.Tensor, *targets: en.Tensor) -> en.Tensor:
        def closure() -> en.Tensor:
            self.optimizer.zero_grad()
            wanted = [self.model(one) for one in targets] if isinstance(self.loss, en.TripletMargin) else targets
            loss = self.loss(self.model(x), *wanted)
            loss.backward()
            return loss

        if self.optimizer.needs_closure:
            return self.optimizer.step(closure)
        loss = closure()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, bytes]:
        found = {f"weight {name}": one.numpy().tobytes() for name, one in self.model.state_dict().items()}
        states = self.optimizer.state_dict()["tensors"]
        return found | {f"state {name}": one.tobytes() for name, one in states.items()}


def poison(recorded: Any, device: Any) -> int:
    """Overwrite what a replay should compute anew; how many arrays that were."""
    count = 0
    for program in recorded.programs:
        for array in program.buffers.arrays:
            if getattr(array.flags, "writeable", True):
                array.fill({"f": np.nan, "u": 255}.get(array.dtype.kind, 1))
                count += 1
    return count


def compare(case: Case, device: Any, dtype: str = "float32", steps: int = STEPS) -> Outcome:
    """The same steps eagerly and recorded: losses and states after each, bit for bit."""
    outcome = Outcome(case.name, case.kind, dtype, steps)
    ours, theirs = Side(case, device, dtype), Side(case, device, dtype)
    recorded = en.capture(theirs.step)
    batches = case.batches(dtype)
    for step in range(1, steps + 1):
        batch = [en.tensor(part, device=device) for part in batches[step % len(batches)]]
        expected = ours.step(*batch).numpy().tobytes()
        outcome.poisoned += poison(recorded, device)
        programs = list(recorded.programs)
        given = recorded(*batch).numpy().tobytes()
        outcome.replayed += bool(programs) and programs == recorded.programs
        mine, other = ours.state(), theirs.state()
        differing = ["the loss"] if given != expected else [name for name in mine if mine[name] != other.get(name)]
        if differing:
            outcome.where = f"{differing[0]} after step {step}"
            break
    outcome.reason = recorded.reason
    for program in recorded.programs if getattr(device, "graphs", False) else ():
        outcome.launches, outcome.between = launches_of(program, device)
    return outcome


def launches_of(program: Any, device: Any) -> tuple[int, tuple[str, ...]]:
    """How many launches a recorded step is on a device, and which of its kernels are in none of them."""
    calls, _ = launched(program.calls, program.buffers)
    names = (getattr(one.kernel, "__qualname__", "") for one in calls if is_of(device, one))
    return sum(isinstance(one.function, Launch) for one in calls), tuple(names)
