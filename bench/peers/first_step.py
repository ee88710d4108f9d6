"""How soon has a contestant trained a step? A process that imports what it needs, makes a net, and steps once.

    python -m bench.peers.first_step MODULE KIND THREADS CELL.json ARRAYS.npz

prints one line of JSON: the loss of that step, or why there is none.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from bench.peers.step import Cell, MissingError, load


def main(module: str, kind: str, threads: str, cell: str, arrays: str) -> None:
    """What libraries print goes to standard error, never beside the answer."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    told: dict[str, object]
    try:
        home = importlib.import_module(f"bench.peers.{module}")
        facts = home.prepare("cpu", int(threads))
        given = json.loads(Path(cell).read_text())
        step = getattr(home, kind)(Cell(**given | {"sizes": tuple(given["sizes"])}), load(arrays), "cpu")
        step.reset()
        last = step.step()
        step.synchronize(last)
        told = {"loss": step.value(last), "version": facts["version"]}
    except MissingError as error:
        told = {"error": str(error)}
    except Exception as error:  # an installation may be broken in any way
        told = {"error": f"{type(error).__name__}: {error}"}
    answer.write(json.dumps(told) + "\n")
    answer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
