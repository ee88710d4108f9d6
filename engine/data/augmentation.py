"""How do few images become more? Each training batch is changed at random: mirrored, shifted, made noisy.

To add one: subclass `Augmentation`, keep each setting under the name of its parameter, and define ``__call__`` for a
whole batch. It is then known by name, and ``--augment name:setting`` on the command line.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backends import Backend
from backends.kernels.pair import Array
from engine.errors import ArgumentError, DataError, unknown_name
from engine.naming import Named, hyphenated
from engine.settings import number, shown, whole

if TYPE_CHECKING:
    from numpy.random import Generator  # for the annotations alone: it takes a sixth of NumPy's own import


class Augmentation(Named, family="augmentation"):
    """A random change of a batch of samples that leaves their targets as they are.

    Called as ``augmentation(samples, generator, backend)``, it returns new samples of the same shape and dtype on the
    same device. All is drawn on the host, so that equal seeds give equal batches on every device.

    Images are (batch, height, width) or (batch, channels, height, width), and already prepared (scaled, standardised).

    Attributes:
        example: how it is written on the command line.

    >>> Augmentation.by_name("shift", pixels=2)
    Shift(pixels=2, fill=0.0)
    """

    example: ClassVar[str]

    def __call__(self, samples: Array, generator: "Generator", backend: Backend) -> Array:
        """The batch, changed."""
        raise NotImplementedError  # what each augmentation is

    def check(self, shape: tuple[int, ...], dtype: Any) -> None:
        """Refuse samples of this shape and dtype where they cannot be changed so."""
        if len(shape) not in (2, 3):
            raise DataError(
                f"{type(self).__name__}: samples have shape {shape}; images are (height, width) or (channels, height, "
                "width). Reshape them, or leave the augmentation out."
            )

    def settings(self) -> dict[str, Any]:
        """Its settings by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def to_dict(self) -> dict[str, Any]:
        """Kind and settings, as what TOML and JSON can hold.

        >>> Flip().to_dict()
        {'kind': 'flip', 'probability': 0.5}
        """
        return {"kind": hyphenated(type(self).__name__), **self.settings()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Augmentation) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.to_dict().items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings().items())})"


class Flip(Augmentation):
    """Left and right exchanged, with this probability for each image.

    >>> import backends
    >>> Flip(1.0)(np.array([[[1.0, 2.0, 3.0]]]), np.random.default_rng(0), backends.get("cpu"))
    array([[[3., 2., 1.]]])
    """

    example = "flip"

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = number(
            "Flip", "probability", probability, "above 0, at most 1", lambda given: 0 < given <= 1
        )

    def __call__(self, samples: Array, generator: "Generator", backend: Backend) -> Array:
        flipped = backend.asarray(generator.random(len(samples)) < self.probability)
        flipped = flipped.reshape((-1,) + (1,) * (samples.ndim - 1))
        return backend.xp.where(flipped, samples[..., ::-1], samples)


class Shift(Augmentation):
    """Moved by a whole number of pixels from -pixels to pixels, drawn for each image and for both of its axes.

    The same as padding with ``pixels`` on every side and cropping to the old size at a random place, which is known as
    a random crop with padding: 4 is usual for CIFAR-10.

    Args:
        pixels: how far at most; smaller than the image.
        fill: what comes in at the border, in the units of the prepared images. 0 is black where pixels were scaled, and
            each pixel's mean where they were standardised.

    >>> import backends
    >>> Shift(1)(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.random.default_rng(0), backends.get("cpu"))
    array([[[3., 4.],
            [0., 0.]]])
    """

    example = "shift:2"

    def __init__(self, pixels: int, fill: float = 0.0) -> None:
        self.pixels = whole("Shift", "pixels", pixels, 1)
        self.fill = number("Shift", "fill", fill, "a finite number")

    def check(self, shape: tuple[int, ...], dtype: Any) -> None:
        super().check(shape, dtype)
        height, width = shape[-2:]
        if self.pixels >= min(height, width):
            raise ArgumentError(
                f"Shift: pixels {self.pixels} was given for images of {height} x {width}; it is smaller than both."
            )

    def __call__(self, samples: Array, generator: "Generator", backend: Backend) -> Array:
        batch, *channels, height, width = samples.shape
        inner, places = slice(self.pixels, -self.pixels), 2 * self.pixels + 1
        padded = backend.empty((batch, *channels, height + places - 1, width + places - 1), samples.dtype)
        padded.fill(self.fill)
        padded[..., inner, inner] = samples
        # Every crop there is, as a view of the same numbers: (batch, row, column, channels, height, width). One gather
        # takes one of each image. An index for each number would be larger than the batch, and slower.
        strides = (padded.strides[0], *padded.strides[-2:], *padded.strides[1:])
        shape = (batch, places, places, *channels, height, width)
        crops = backend.xp.lib.stride_tricks.as_strided(padded, shape, strides)
        row, column = (backend.asarray(place) for place in generator.integers(places, size=(2, batch)))
        return crops[backend.xp.arange(batch), row, column]


class Noise(Augmentation):
    """Plus a number from the normal distribution of mean 0, drawn for every feature; for samples of any shape.

    Args:
        std: the standard deviation, in the units of the prepared samples.
    """

    example = "noise:0.1"

    def __init__(self, std: float) -> None:
        self.std = number("Noise", "std", std, "a number above 0", lambda given: given > 0)

    def check(self, shape: tuple[int, ...], dtype: Any) -> None:
        if np.dtype(dtype).kind != "f":
            raise DataError(f"Noise: samples are {dtype}; noise is added to floats. Scale or standardise them first.")

    def __call__(self, samples: Array, generator: "Generator", backend: Backend) -> Array:
        # Drawn in single precision, which takes half the time, unless the samples are finer.
        drawn = np.float64 if samples.dtype == np.float64 else np.float32
        noise = generator.standard_normal(samples.shape, drawn)
        noise *= self.std
        return samples + backend.asarray(noise, samples.dtype)


def from_dict(stored: Mapping[str, Any]) -> Augmentation:
    """The augmentation that ``to_dict`` wrote down.

    >>> from_dict({"kind": "noise", "std": 0.1})
    Noise(std=0.1)
    """
    settings = {name: value for name, value in stored.items() if name != "kind"}
    return _make(str(stored.get("kind")), **settings)


def read(text: str) -> tuple[Augmentation, ...]:
    """Augmentations as the command line names them: ``name:setting`` with commas between.

    Raises:
        UnknownNameError, ArgumentError: no such augmentation, a setting that is none.

    >>> read("flip,shift:2,noise:0.1")
    (Flip(probability=0.5), Shift(pixels=2, fill=0.0), Noise(std=0.1))
    """
    return tuple(_read(word.strip()) for word in text.split(","))


def _read(word: str) -> Augmentation:
    name, *given = word.split(":")
    kind = Augmentation.members.get(name)
    if kind is None:
        raise unknown_name(Augmentation.family, name, Augmentation.members)
    known = list(inspect.signature(kind).parameters)
    try:
        values = [_value(one) for one in given]
    except ValueError:
        values = []
    if len(values) < len(given) or len(values) > len(known):
        allowed = " and ".join(known)
        raise ArgumentError(f"augmentation {word!r}: after the name come numbers: {allowed}. Write {kind.example}.")
    return _make(name, **dict(zip(known, values, strict=False)))


def _value(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _make(name: str, **settings: Any) -> Augmentation:
    kind = Augmentation.members.get(name)
    for needed, parameter in inspect.signature(kind).parameters.items() if kind else ():
        if parameter.default is parameter.empty and needed not in settings:
            raise ArgumentError(f"augmentation {name!r}: {needed} is missing. Write {kind.example if kind else name}.")
    return Augmentation.by_name(name, **settings)


def checked(given: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Augmentation, ...]:
    """The augmentations as a tuple, each of them one for samples of this shape and dtype."""
    listed = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    if listed is None or not all(isinstance(one, Augmentation) for one in listed):
        raise ArgumentError(f"batches: augment {shown(given)} was given; give a tuple, such as (Flip(), Shift(2)).")
    for one in listed:
        one.check(shape, dtype)
    return listed
