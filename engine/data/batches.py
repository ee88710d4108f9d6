"""In which order are the samples seen? Batches drawn anew at every pass, the same on every device."""

import contextlib
import math
import operator
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Literal

import numpy as np

import backends
from backends.backend import like
from backends.kernels.pair import Array
from backends.kernels.shape import Copy, Gather
from engine.convert import normal_dtype
from engine.data.augmentation import Augmentation, checked
from engine.data.dataset import Dataset, as_numbers, check_finite
from engine.data.feeding import Part, fed
from engine.data.rows import Rows
from engine.errors import ArgumentError, DataError, DeviceError
from engine.tensor import Tensor

BatchSize = int | Literal["all"]


class Batches:
    """A data set cut into batches; each ``iter()`` is one pass over all of it.

    The order of pass p is ``numpy.random.Generator(numpy.random.PCG64([seed, p])).permutation(samples)``: it depends on
    the seed and the pass alone, so that it is the same on every device, and a run that is taken up again goes on as it
    would have gone.

    A batch is one gather of rows. On a GPU the data is copied over once, where a quarter of the free memory holds it;
    otherwise each batch is gathered and copied while the one before it is used. `Rows` of a file stay there: each batch
    is read and prepared by itself. The augmentations of batch b of pass p draw from
    ``numpy.random.PCG64([seed, p, b, k])``, k counting them from 1.

    Batches in the stored order are read-only views on the CPU; so is the one batch that holds everything, which is
    never shuffled: its gradient does not depend on the order of its rows.

    Attributes:
        arrays: what the rows of the batches are taken from.
        samples: how many there are in a pass.
        batch_size: how many samples a full batch has.
        passes: how many passes were begun; set it to go on after so many.
        skip: how many batches the next pass leaves out at its start (to go on within a pass); it goes back to 0.
    """

    def __init__(
        self,
        data: Any,
        batch_size: BatchSize = 64,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        device: Any = "cpu",
        dtype: Any = None,
        passes: int = 0,
        augment: Iterable[Augmentation] = (),
    ) -> None:
        self.backend = backends.get(device)
        self._alone = not isinstance(data, (Dataset, tuple))
        self.arrays = self._parts(data)
        self.samples = len(self.arrays[0])
        self.batch_size = (
            self.samples if batch_size == "all" else min(_whole("batch_size", batch_size, 1), self.samples)
        )
        self.seed = _whole("seed", seed, 0)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.dtype = None if dtype is None else normal_dtype(dtype)
        self.passes = _whole("passes", passes, 0)
        self.skip = 0
        self.augment = checked(augment, self.arrays[0].shape[1:], self.arrays[0].dtype)
        self._placed = False

    def _parts(self, data: Any) -> tuple[Array, ...]:
        if isinstance(data, Dataset):
            return (data.x, data.y)
        names = ("x",) if self._alone else ("x", "y", *(f"array {number}" for number in range(2, len(data))))
        arrays = [self._part(name, part) for name, part in zip(names, (data,) if self._alone else data, strict=False)]
        if not arrays:
            raise DataError(
                "batches: an empty tuple was given; allowed are a Dataset, an array, and a tuple of arrays."
            )
        for name, array in zip(names, arrays, strict=False):
            if len(array) != len(arrays[0]):
                raise DataError(
                    f"batches: x has {len(arrays[0])} samples, {name} {len(array)}; each sample needs a row in both."
                )
        return tuple(arrays)

    def _part(self, name: str, part: Any) -> Array:
        if isinstance(part, Tensor) and part.backend is not self.backend:
            raise DeviceError(
                f"batches: {name} is on {part.device}, the batches are for {self.backend.device}. "
                f"Use device={part.device!r}."
            )
        if isinstance(part, Tensor):
            array = part.array
        else:
            array = part if isinstance(part, Rows) else as_numbers("batches", name, part)
        if not array.ndim or not array.size:
            raise DataError(
                f"batches: {name} has shape {array.shape}; at least one sample is needed, along the first axis."
            )
        if isinstance(array, (np.ndarray, Rows)):  # a device is not asked: that would wait for all its work
            check_finite("batches", name, array)
        return array

    def __len__(self) -> int:
        """How many batches a pass has."""
        return self.samples // self.batch_size if self.drop_last else -(-self.samples // self.batch_size)

    def order(self, number: int) -> np.ndarray[Any, Any]:
        """The rows in the order of pass ``number``, counted from 0."""
        if not self.shuffle or self.batch_size == self.samples:
            return np.arange(self.samples)
        return np.random.Generator(np.random.PCG64([self.seed, number])).permutation(self.samples)

    def __iter__(self) -> Generator[Any, None, None]:
        return self._pass(*self._begin())

    def _begin(self) -> tuple[int, int]:
        """The number of the pass that begins, and its first batch."""
        self._place()
        number, first = self.passes, _whole("skip", self.skip, 0)
        self.passes, self.skip = number + 1, 0
        return number, first

    # -- the same pass, as rows that a `Gatherer` makes batches of ---------------------------------------

    @property
    def gatherable(self) -> bool:
        """Whether a `Gatherer` makes what iterating does: of arrays on the device, row by row, not augmented."""
        self._place()
        if self.augment or not all(self.backend.owns(array) for array in self.arrays):
            return False
        copied = self.shuffle or self.batch_size == self.samples
        return copied or all(array.flags.c_contiguous for array in self.arrays)

    def rows(self) -> Iterator[Tensor | None]:
        """One pass, as the numbers of each batch's rows; None where a batch is the whole set as it stands."""
        if self.batch_size == self.samples:
            _, first = self._begin()
            return iter([None][first:])
        return self._rows(*self.order_of_pass())

    def order_of_pass(self) -> tuple[Array, int]:
        """One pass, as the numbers of all its rows on the device, and its first batch."""
        number, first = self._begin()
        return self.backend.asarray(self.order(number)), first

    def _rows(self, order: Array, first: int) -> Iterator[Tensor]:
        size, backend = self.batch_size, self.backend
        for start in range(first * size, len(self) * size, size):
            yield Tensor.wrap(order[start : start + size], backend)

    def form(self) -> tuple[Any, ...]:
        """What two data sets have in common whose batches are gathered alike."""
        arrays = tuple((array.shape[1:], array.dtype) for array in self.arrays)
        whole = self.samples if self.batch_size == self.samples else None
        return arrays, whole, self.dtype, self.backend, self.gatherable

    def _place(self) -> None:
        # Once, at the first pass: rows are then gathered where they are needed. Rows of a file are not: they are read
        # by the batch because they are larger than memory.
        if self._placed or self.backend.device == "cpu":
            return
        on_host = sum(array.nbytes for array in self.arrays if isinstance(array, np.ndarray))
        if on_host <= self.backend.memory().get("free", 0) // 4:
            self.arrays = tuple(
                array if isinstance(array, Rows) else self.backend.asarray(array) for array in self.arrays
            )
        self._placed = True

    def placement(self) -> str | None:
        """Where the samples are while batches are made of them, in words; None on the CPU, where nothing is copied."""
        if self.backend.device == "cpu":
            return None
        self._place()
        size = sum(math.prod(array.shape) * array.dtype.itemsize for array in self.arrays)
        shown = f"{size / 2**20:,.1f} MiB"
        if all(self.backend.owns(array) for array in self.arrays):
            return f"{shown} of data, all on {self.backend.device}"
        ahead = "" if self.backend.lane() is None else ", each while the one before it is used"
        return f"{shown} of data on the host, copied to {self.backend.device} batch by batch{ahead}"

    def bytes_beside(self) -> int:
        """Of the device's, for a sample of the batch that is used and of the one on its way, beside the step's copy."""
        self._place()
        if self.backend.lane() is None:
            return 0
        away = [array for array in self.arrays if not self.backend.owns(array)]
        return sum(2 * math.prod(one.shape[1:]) * int(self._kind(one).itemsize) for one in away)

    def _pass(self, number: int, first: int) -> Generator[Any, None, None]:
        shuffled = self.shuffle and self.batch_size < self.samples
        order = self.order(number) if shuffled else None
        placed = order is not None and any(self.backend.owns(array) for array in self.arrays)
        placed_order = self.backend.asarray(order) if placed else None
        places = [
            slice(batch * self.batch_size, min((batch + 1) * self.batch_size, self.samples))
            for batch in range(first, len(self))
        ]
        away = [which for which, array in enumerate(self.arrays) if not self.backend.owns(array)]
        lane = self.backend.lane() if away and len(places) > 1 else None
        with contextlib.ExitStack() as stack:
            brought = None
            if lane is not None:
                coming = (self._parts_of(away, rows, order) for rows in places)
                brought = stack.enter_context(contextlib.closing(fed(self.backend, lane, coming)))
            for batch, rows in enumerate(places, first):
                arrays = [] if brought is None else next(brought)
                tensors = tuple(
                    Tensor.wrap(arrays.pop(0), self.backend)
                    if brought is not None and which in away
                    else self._tensor(array, rows, order, placed_order)
                    for which, array in enumerate(self.arrays)
                )
                if self.augment:
                    tensors = (self._augmented(tensors[0], number, batch), *tensors[1:])
                yield tensors[0] if self._alone else tensors
                del tensors  # the next but one goes where this one was

    def _kind(self, array: Array) -> "np.dtype[Any]":
        """Of what type an array's batches are."""
        kind: np.dtype[Any] = array.dtype
        return kind if self.dtype is None or kind.kind != "f" else self.dtype

    def _parts_of(self, away: list[int], rows: slice, order: np.ndarray[Any, Any] | None) -> list[Part]:
        """What comes from the host for a batch."""
        chosen = rows if order is None else order[rows]
        return [Part(self.arrays[which], chosen, self._kind(self.arrays[which])) for which in away]

    def _tensor(self, array: Array, rows: slice, order: np.ndarray[Any, Any] | None, placed_order: Array) -> Tensor:
        if order is None:
            part = _read_only(array[rows])
        elif self.backend.owns(array):
            part = self.backend.xp.take(array, placed_order[rows], axis=0)
        elif isinstance(array, Rows):
            part = array[order[rows]]
        else:
            part = np.take(array, order[rows], axis=0)
        wanted = self.dtype if part.dtype.kind == "f" else None
        return Tensor.wrap(self.backend.asarray(part, wanted), self.backend)

    def _augmented(self, samples: Tensor, number: int, batch: int) -> Tensor:
        array = samples.array
        for which, one in enumerate(self.augment, start=1):  # from 1: a list that ends in zeros is the shorter list
            generator = np.random.Generator(np.random.PCG64([self.seed, number, batch, which]))
            array = one(array, generator, self.backend)
        return Tensor.wrap(array, self.backend)

    def __repr__(self) -> str:
        return f"Batches({len(self)} of {self.batch_size}, {self.samples} samples, on {self.backend.device})"


class Gatherer:
    """Makes the batches of `Batches.rows`, for `gatherable` ones: whichever they are, what was recorded of it serves.

    Attributes:
        batches: from whose arrays it gathers.
    """

    batches: Batches | None = None

    def given(self) -> Batches:
        """The batches that it was given."""
        assert self.batches is not None
        return self.batches

    def batch(self, rows: Tensor | None, first: int = 0) -> tuple[Tensor, ...]:
        """The batch of these rows; without the arrays before number ``first``."""
        batches, made = self.given(), []
        backend, wanted = batches.backend, batches.dtype
        for number, array in enumerate(batches.arrays[first:], first):
            if rows is None:
                part = self.everything(number)
            else:
                part = backend.empty((len(rows), *array.shape[1:]), array.dtype)
                self.gather(number, rows.array, part)
            if wanted is not None and part.dtype.kind == "f" and part.dtype != wanted:
                stored, part = part, like(backend, part, wanted)  # strides decide the last bits of a product
                backend.kernel(Copy.forward)(backend.xp, stored, y=part)
            made.append(Tensor.wrap(part, backend))
        return tuple(made)

    def everything(self, number: int) -> Array:
        """An array as it stands."""
        return _read_only(self.given().arrays[number][:])

    def gather(self, number: int, rows: Array, part: Array) -> None:
        """Fill ``part`` with these rows of an array."""
        batches = self.given()
        batches.backend.kernel(Gather.forward)(batches.backend.xp, batches.arrays[number], rows, y=part)


def batches(
    data: Any,
    batch_size: BatchSize = 64,
    *,
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    device: Any = "cpu",
    dtype: Any = None,
    passes: int = 0,
    augment: Iterable[Augmentation] = (),
) -> Batches:
    """The data in batches of Tensors on a device, in a new order at every pass.

    Args:
        data: a Dataset or a tuple of arrays such as (x, y): each batch is a tuple of Tensors; one array: each batch is
            one Tensor. Tensors are gathered on their own device; `Rows` are read from their file.
        batch_size: 1 or above (one batch where it is larger than the data), or "all": gradient descent.
        seed: the same seed gives the same orders.
        shuffle: False keeps the stored order.
        drop_last: leave out the last batch where it is smaller than the others.
        device: where the Tensors are to be.
        dtype: what floats are converted to; integers and bools stay. None keeps the stored dtype.
        passes: how many passes were made before.
        augment: what changes the first array's batches at random, in this order, such as (Flip(), Shift(2)): for
            training alone.

    Raises:
        ArgumentError: a batch size, seed or number of passes that is none; an augmentation that does not fit.
        DataError: no samples, different lengths, values that are not finite.

    >>> import numpy as np
    >>> x, y = np.arange(5.0).reshape(5, 1), np.arange(5)
    >>> made = batches((x, y), batch_size=2, shuffle=False)
    >>> [labels.numpy().tolist() for features, labels in made]
    [[0, 1], [2, 3], [4]]
    >>> len(made), made.passes
    (3, 1)
    """
    return Batches(
        data,
        batch_size,
        seed=seed,
        shuffle=shuffle,
        drop_last=drop_last,
        device=device,
        dtype=dtype,
        passes=passes,
        augment=augment,
    )


def _read_only(part: Array) -> Array:
    """A view of the data, which a change in place must not reach."""
    if isinstance(part, np.ndarray):
        part.flags.writeable = False
    return part


def _whole(name: str, given: Any, least: int) -> int:
    try:
        number = -1 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        number = -1
    if number < least:
        extra = ' and "all"' if name == "batch_size" else ""
        raise ArgumentError(f"batches: {name} {given!r} was given; allowed are whole numbers from {least}{extra}.")
    return number
