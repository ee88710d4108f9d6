"""How is a folder of images read? One folder a class, named after it; every image in it is a sample."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # those that are no programs, as PostScript is
_GREY = ("1", "L", "LA", "La")
_COLOURED = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_BESIDE = ("Thumbs.db", "desktop.ini", "__MACOSX")  # what systems leave in folders, besides files with a leading dot


def read(
    path: str | os.PathLike[str], image_size: tuple[int, int] | None = None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], tuple[str, ...]]:
    """x uint8 (samples, channels, height, width), y int64 (samples,) and the class names: the folders', sorted.

    All grey images make one channel, others three: red, green and blue; transparency is dropped. Of an animation the
    first picture counts; a photograph is turned as its camera noted. Needs Pillow.

    Args:
        path: the folder that holds the folders of the classes.
        image_size: (height, width) to which every image is resized; None takes them as they are, all of one size.

    Raises:
        DataError: no Pillow, no folders of classes, no images in one, an image that is broken, has more than 8 bits a
            channel, or another size than the first. One line that names it.
        ArgumentError: image_size is not two whole numbers from 1.
    """
    if image_size is not None and not (
        isinstance(image_size, (tuple, list))
        and len(image_size) == 2
        and all(isinstance(length, int) and 1 <= length <= 1 << 16 for length in image_size)
    ):
        raise ArgumentError(
            f"image_size: {image_size!r}; allowed are a height and a width from 1 to {1 << 16}. Use (32, 32)."
        )
    folder = Path(path)
    classes = [one for one in _entries(folder) if one.is_dir()]
    if not classes:
        raise DataError(
            f"{folder}: a folder without folders in it; a folder of images has one for each class. "
            "Sort the images into folders, or name a file."
        )
    files = [(label, file) for label, one in enumerate(classes) for file in _images(one)]
    grey = all([_of_image(file, partial(_is_grey, file)) for _, file in files])
    pixels_of = partial(_pixels, grey, image_size)
    first = _of_image(files[0][1], pixels_of)
    x = np.empty((len(files), *first.shape), np.uint8)
    for row, (_, file) in enumerate(files):
        pixels = _of_image(file, pixels_of)
        if pixels.shape != first.shape:
            (height, width), (wanted_height, wanted_width) = pixels.shape[1:], first.shape[1:]
            raise DataError(
                f"{file}: {height} x {width} pixels (height x width); {files[0][1]} has {wanted_height} x "
                f"{wanted_width}, and all need one size. Give image_size, as ({wanted_height}, {wanted_width})."
            )
        x[row] = pixels
    y = np.array([label for label, _ in files], np.int64)
    return x, y, tuple(one.name for one in classes)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if not one.name.startswith(".") and one.name not in _BESIDE)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}. Check the path and its permissions.") from None


def _images(folder: Path) -> list[Path]:
    files = _entries(folder)
    for file in files:
        if file.is_dir():
            raise DataError(
                f"{file}: a folder in the folder of a class; it holds images only. If {folder.name} is no class, name "
                f"{folder} itself."
            )
    if not files:
        raise DataError(f"{folder}: no image in it; each class needs at least one. Add some or remove the folder.")
    return files


def _of_image(file: Path, use: "Callable[[Image], T]") -> T:
    """What ``use`` makes of the image in a file."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise DataError(
            f'{file}: images need Pillow. Install the extra images: pip install "chalkgrad[images]".'
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about details beside the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # a header that promises a huge picture
        try:
            with Image.open(file, formats=_FORMATS) as image:
                return use(image)
        except (DataError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise DataError(
                f"{file}: no image, or a broken one; allowed are {', '.join(_FORMATS)}. Convert or remove it."
            ) from None
        except Exception as error:  # whatever a broken file leads a decoder to
            reason = " ".join(str(error)[:100].split()) or type(error).__name__
            raise DataError(f"{file}: broken image ({reason}). Replace or remove it.") from None


def _pixels(grey: bool, image_size: tuple[int, int] | None, image: "Image") -> np.ndarray[Any, Any]:
    """The image as uint8 (channels, height, width)."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image).convert("L" if grey else "RGB")
    if image_size is not None:
        upright = upright.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(upright)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _is_grey(file: Path, image: "Image") -> bool:
    if image.mode not in _GREY + _COLOURED:
        raise DataError(
            f"{file}: an image of mode {image.mode}; allowed are 8 bits a channel. Convert it to grey or RGB."
        )
    return image.mode in _GREY
