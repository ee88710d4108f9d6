"""How is a method watched for a while? It is replaced by one that tells of its calls, and put back afterwards."""

import functools
from collections.abc import Callable
from typing import Any

MISSING = object()


class Watching:
    """Methods and attributes that others stand in for, until `put_back`.

    Args:
        listens: whether what happens now is worth telling; where it is not, in other threads for example, a watched
            method does what the original does.
    """

    def __init__(self, listens: Callable[[], bool]) -> None:
        self.listens = listens
        self._before: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Set an attribute of a class, an object or a module, and remember what was there."""
        self._before.append((owner, name, vars(owner).get(name, MISSING)))
        setattr(owner, name, new)

    def watched(self, original: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
        """``instead(original, ...)`` where it is worth telling, the original everywhere else."""
        listens = self.listens

        @functools.wraps(original)
        def called(*inputs: Any, **options: Any) -> Any:
            return instead(original, *inputs, **options) if listens() else original(*inputs, **options)

        return called

    def watch(self, owner: Any, name: str, instead: Callable[..., Any]) -> None:
        """Have ``instead(original, ...)`` called for a method of a class, or a function where a module looks it up."""
        found = vars(owner)[name]
        if isinstance(found, staticmethod):
            self.replace(owner, name, staticmethod(self.watched(found.__func__, instead)))
        else:
            self.replace(owner, name, self.watched(found, instead))

    def put_back(self) -> None:
        """Leave everything as it was."""
        while self._before:
            owner, name, before = self._before.pop()
            if before is MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
