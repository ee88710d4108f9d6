"""How is one contestant timed? The process that holds it: a line of JSON in, a line of JSON out, until the input ends.

    {"cell": {...}, "arrays": "FILE.npz"}   builds the cell: its losses, and about how many microseconds a step takes;
                                            "losses": 5 asks for so many of them
    {"steps": 400, "blocks": 2}             times so many steps, so many times: microseconds a step, one value a block
    {"task": "train", "epochs": 1}          calls that method of a contestant that is no step, by these names

Every block starts from the first weights: a net that has trained for long has velocities so close to zero that the
processor itself is slow at them.
"""

import importlib
import json
import os
import sys
import time
from typing import Any

from bench.peers.step import Cell, MissingError, Step, load

LOSSES = 20
WARM = 3  # a captured step is laid out, recorded and replayed for the first time
REST_SECONDS = 1.0


def microseconds(contestant: Step, steps: int) -> float:
    """How long one step takes, averaged over ``steps`` of them; some that are not timed come first."""
    contestant.reset()
    warm, steps = (-(-one // contestant.multiple) * contestant.multiple for one in (max(WARM, steps // 10), steps))
    contestant.synchronize(contestant.run(warm))
    return contestant.seconds(steps) / steps * 1e6


def rest() -> None:
    """Wait until this process's threads sleep: OpenBLAS's spin for 0.1 s, on a core that others need."""
    end = time.monotonic() + REST_SECONDS
    used = -1.0
    while time.process_time() - used > 0.002 and time.monotonic() < end:
        used = time.process_time()
        time.sleep(0.02)


def build(kind: type[Step], asked: dict[str, Any], device: str) -> tuple[Step, dict[str, Any]]:
    """A contestant at a cell, and what there is to say of it."""
    given = asked["cell"]
    cell = Cell(**given | {"sizes": tuple(given["sizes"])})
    contestant = kind(cell, load(asked["arrays"]), device)
    contestant.reset()
    reason = contestant.incomparable()
    losses = contestant.losses(asked.get("losses", LOSSES)) if reason is None else None
    estimate = min(microseconds(contestant, 2) for _ in range(2))
    return contestant, {
        "losses": losses,
        "incomparable": reason,
        "note": contestant.note(),
        "microseconds": estimate,
    }


def serve(module: str, kind: str, device: str, threads: int) -> None:
    """Answer until the input ends. What libraries print goes to standard error, never among the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    try:
        home = importlib.import_module(f"bench.peers.{module}")
        answer(facts=home.prepare(device, threads))
    except MissingError as error:
        return answer(error=str(error))
    except Exception as error:  # an installation may be broken in any way
        return answer(error=f"{type(error).__name__}: {error}")
    contestant: Step | None = None
    actor: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "task" in asked:
                actor = getattr(home, kind)(device) if actor is None else actor
                told = getattr(actor, asked.pop("task"))(**asked)
                rest()
                answer(**told)
            elif "cell" in asked:
                contestant = None  # freed before the next one is made
                contestant, told = build(getattr(home, kind), asked, device)
                rest()
                answer(**told)
            else:
                assert contestant is not None
                times = [microseconds(contestant, asked["steps"]) for _ in range(asked["blocks"])]
                rest()
                answer(microseconds=times)
        except MissingError as error:
            answer(error=str(error))
        except Exception as error:  # a compiler that is not there, memory that is not enough: said, and the next cell
            contestant = None
            answer(error=f"{type(error).__name__}: {error}")
    return None


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
