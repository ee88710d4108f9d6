"""How is a step profiled? It runs often: watched, and alone to know what watching costs; medians tell the rest."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from backends.devices import _backends
from engine.errors import ArgumentError
from engine.layers.layer import Layer
from engine.profiling.ledger import BACKWARD, OUTSIDE, Cell, Key, Ledger, Owner, clock
from engine.profiling.listener import Eagerly, Listener, waiting
from engine.profiling.result import Operation, Part, Profile
from engine.recordable import OFTEN
from engine.recording.capture import _recording
from engine.recording.recorder import Recorder
from engine.settings import shown, whole

WARMUP = OFTEN + 4
"""Steps after which nothing is new: parameters are laid out, and what a trainer records was recorded, perhaps twice."""


def profile(step: Callable[..., Any], *arguments: Any, repeats: int = 20, warmup: int = WARMUP) -> Profile:
    """Where the time of a training step or a forward pass goes: by operation, by layer, and in Python.

    The step runs for real, ``warmup + 2 * repeats + 3`` times: a training step changes weights, as always. Every number
    of the result is of one step, the median over the repeats.

    Watching takes time, which is kept out of the numbers. The kernels' times are those of steps that are watched, less
    what a look at the clock costs; the time of the whole step is that of steps that are not, half of them before and
    half after. What is left of it beside the kernels is Python's. A device that computes while Python goes on is waited
    for before and after every kernel; its kernels may then take longer together than a step that nobody watches.

    Functions by `en.capture`, the step itself or what it calls, run eagerly while they are profiled, which takes
    ``repeats + 1`` steps more; ``recorded_seconds`` is their time as they are. Other threads are not heard. What runs
    within an `Operation` of your own, a metric's update or the gather of a batch is a part of these.

    Args:
        step: a function, a captured one, or a layer.
        arguments: what it is called with (for named ones, give a `functools.partial`).
        repeats: how many steps are measured, 1 or more.
        warmup: how many run before, so that parameters are laid out and functions recorded.

    Raises:
        ArgumentError: the step cannot be called, or a number is out of range; and the step's own errors.

    >>> import engine as en
    >>> model = en.Sequential(en.Linear(64, 128), en.ReLU(), en.Linear(128, 10))
    >>> found = en.profile(model, en.tensor([[1.0] * 64] * 32), repeats=3)
    >>> sorted((one.name, one.calls, one.flops) for one in found.operations)
    [('Linear.forward', 2, 610624), ('ReLU.forward', 1, 4096)]
    >>> [(part.name, part.kind) for part in found.parts]
    [('0', 'Linear'), ('1', 'ReLU'), ('2', 'Linear')]
    >>> found.kernel_seconds <= found.seconds
    True
    """
    if not callable(step):
        raise ArgumentError(f"profile: step {shown(step)} was given; it is a function or a layer.")
    repeats, warmup = whole("profile", "repeats", repeats, 1), whole("profile", "warmup", warmup, 0)
    with _recording:  # a recording in another thread watches the same methods: one after the other
        if Recorder.current is not None:
            raise ArgumentError("profile: a captured function is being recorded; profile it from outside.")
        for _ in range(warmup):
            step(*arguments)
        listener, eagerly = Listener(), Eagerly()
        as_it_is = _alone(step, arguments, repeats // 2)
        heard = _watched(step, arguments, listener, repeats)
        as_it_is += _alone(step, arguments, repeats - repeats // 2)
        eager = []
        if listener.captures:
            with eagerly:
                eager = _alone(step, arguments, repeats)
    alone = statistics.median(eager or as_it_is)
    recorded = bool(eager) and all(one.reason is None for one in listener.captures.values())
    cells = _medians([run.cells for run in heard])
    return Profile(
        step=_name(step),
        devices=tuple(listener.devices),
        repeats=repeats,
        seconds=max(alone, sum(seconds for _, _, seconds, _, _, _ in cells.values())),
        alone_seconds=alone,
        recorded_seconds=statistics.median(as_it_is) if recorded else None,
        operations=_operations(cells),
        parts=_parts(cells, listener, [run.calls for run in heard]),
        allocated_bytes=_median(run.allocated for run in heard),
        allocated_arrays=_median(run.arrays for run in heard),
    )


def _watched(step: Callable[..., Any], arguments: tuple[Any, ...], listener: Listener, repeats: int) -> list[Ledger]:
    """What is heard of each step; the first, in which Python gets used to the watching methods, is left out."""
    heard = []
    with listener:
        for _ in range(repeats + 1):
            step(*arguments)
            heard.append(listener.take())
    return heard[1:]


def _alone(step: Callable[..., Any], arguments: tuple[Any, ...], repeats: int) -> list[float]:
    """How long each step takes, with all that its devices still have to do; the first is left out, as above."""
    waits = [wait for wait in map(waiting, _backends.values()) if wait is not None]
    seconds = []
    for _ in range(repeats + 1):
        start = clock()
        step(*arguments)
        for wait in waits:
            wait()
        seconds.append((clock() - start) / 1e9)
    return seconds[1:]


def _name(step: Any) -> str:
    while not hasattr(step, "__name__") and hasattr(step, "func"):
        step = step.func  # of a functools.partial
    return str(getattr(step, "__name__", type(step).__name__))


# -- from runs to rows ---------------------------------------------------------------------------------

Row = tuple[bool, float, float, float, float | None, tuple[str, ...]]
"""Of one cell: whether it is a product, the medians of calls, seconds, bytes and FLOPs, and its precisions."""


def _median(values: Iterable[float]) -> float:
    """The median; a whole number where it is one."""
    found = statistics.median(values)
    return int(found) if found == int(found) else found


def _medians(runs: list[dict[Key, Cell]]) -> dict[Key, Row]:
    """Each cell's medians; a run without it counts as 0."""
    rows: dict[Key, Row] = {}
    for key in dict.fromkeys(key for run in runs for key in run):
        cells = [run.get(key) or Cell(False) for run in runs]
        flops = [cell.flops for cell in cells if cell.flops is not None]
        rows[key] = (
            any(cell.is_product for cell in cells),
            _median(cell.calls for cell in cells),
            statistics.median(cell.nanoseconds for cell in cells) / 1e9,
            _median(cell.bytes for cell in cells),
            _median(flops) if len(flops) == len(cells) else None,
            tuple(dict.fromkeys(one for cell in cells for one in cell.precisions)),
        )
    return rows


def _operations(cells: dict[Key, Row]) -> tuple[Operation, ...]:
    found = []
    for name in dict.fromkeys(name for name, _, _ in cells):
        rows = [row for (one, _, _), row in cells.items() if one == name]
        products, calls, seconds, moved, flops, precisions = zip(*rows, strict=True)
        known = [one for one in flops if one is not None]
        found.append(
            Operation(
                name=name,
                is_product=any(products),
                precision=", ".join(dict.fromkeys(one for some in precisions for one in some if one)),
                calls=sum(calls),
                seconds=sum(seconds),
                bytes=sum(moved),
                flops=sum(known) if len(known) == len(flops) else None,
            )
        )
    return tuple(sorted(found, key=lambda one: -one.seconds))


def _parts(cells: dict[Key, Row], listener: Listener, calls: list[dict[int, int]]) -> tuple[Part, ...]:
    names = names_of(listener.layers.values(), listener.roots.values())
    found = []
    owners: list[Owner] = [*listener.layers, *OUTSIDE]
    for owner in owners:
        rows = [(direction, row) for (_, one, direction), row in cells.items() if one == owner]
        if not rows:
            continue  # a chain: its layers have rows of their own
        layer = listener.layers[owner] if isinstance(owner, int) else None
        found.append(
            Part(
                name=owner if isinstance(owner, str) else names[owner],
                kind="" if layer is None else type(layer).__name__,
                calls=0 if isinstance(owner, str) else _median(run.get(owner, 0) for run in calls),
                forward_seconds=sum(row[2] for direction, row in rows if direction != BACKWARD),
                backward_seconds=sum(row[2] for direction, row in rows if direction == BACKWARD),
                flops=sum(row[4] or 0 for _, row in rows),
            )
        )
    return tuple(found)


def names_of(layers: Iterable[Layer], roots: Iterable[Layer]) -> dict[int, str]:
    """Names for layers, by id: the dotted name in the outermost layer that was called.

    Of several outermost layers each name begins with the class of its own, numbered where classes are alike; a layer
    that is in none of them has the name of its class.

    >>> import engine as en
    >>> model, other = en.Sequential(en.Linear(2, 2), en.ReLU()), en.ReLU()
    >>> list(names_of([model, model[0]], [model]).values())
    ['(model)', '0']
    >>> list(names_of([model[0], model[1], other], [model[0], model[1], other]).values())
    ['Linear', 'ReLU 1', 'ReLU 2']
    """
    tops = list(roots)
    below = {id(layer) for top in tops for name, layer in top.named_layers() if name}
    tops = [top for top in tops if id(top) not in below]
    kinds = [type(top).__name__ for top in tops]
    known: dict[int, str] = {}
    for position, (top, kind) in enumerate(zip(tops, kinds, strict=True)):
        number = f" {kinds[: position + 1].count(kind)}" if kinds.count(kind) > 1 else ""
        prefix = kind + number
        for name, layer in top.named_layers():
            label = (name or "(model)") if len(tops) == 1 else f"{prefix}: {name}" if name else prefix
            known.setdefault(id(layer), label)
    return {id(layer): known.get(id(layer), type(layer).__name__) for layer in layers}
