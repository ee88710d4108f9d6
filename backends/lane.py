"""How does data come to a device while that computes? By a lane: copies from memory made for them, for later."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.kernels.pair import Array

Mark = Any
"""A place in what a device was asked for: whoever waits for it waits for all that came before."""


class Lane(ABC):
    """Copies from the host to a device, beside what else that does.

    ``empty`` and ``mark`` belong to the thread that uses the arrays; the copies may be sent from any other.
    """

    @abstractmethod
    def staging(self, size: int) -> "np.ndarray[Any, Any]":
        """So many bytes of the host's memory that the device can read while the host goes on."""

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """An array of the device, to be written by this lane."""

    @abstractmethod
    def mark(self) -> Mark:
        """The end of what the device was asked for until now."""

    @abstractmethod
    def send(self, hosts: "Sequence[np.ndarray[Any, Any]]", arrays: Sequence[Array], after: Mark) -> Mark:
        """Begin to copy from staging memory into arrays, when that mark is reached; gives the end of these copies."""

    @abstractmethod
    def follow(self, mark: Mark) -> None:
        """What this thread asks of the device from now on comes after that mark."""

    @abstractmethod
    def wait(self, mark: Mark) -> None:
        """Wait for that mark."""
