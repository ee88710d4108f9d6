"""Which published sets are there, and where are their files? MNIST, Fashion-MNIST and CIFAR-10, every byte checked."""

import os
import sys
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.data import download
from engine.data.dataset import Dataset
from engine.errors import DataError, FileError

Bytes = np.ndarray[Any, Any]


class File(NamedTuple):
    """A file as it is published, compressed."""

    sha256: str
    size: int


class Published(NamedTuple):
    """A set that is published as files.

    Attributes:
        addresses: of the folders that hold all its files; the first is asked first.
        files: by their official names.
        class_names: one for each label.
    """

    addresses: tuple[str, ...]
    files: dict[str, File]
    class_names: tuple[str, ...]


_TRAIN_IMAGES, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST_IMAGES, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
_ARCHIVE = "cifar-10-binary.tar.gz"

SETS = {
    "mnist": Published(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        {
            _TRAIN_IMAGES: File("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
            _TRAIN_LABELS: File("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
            _TEST_IMAGES: File("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
            _TEST_LABELS: File("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
        },
        tuple("0123456789"),
    ),
    "fashion-mnist": Published(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            _TRAIN_IMAGES: File("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
            _TRAIN_LABELS: File("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
            _TEST_IMAGES: File("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
            _TEST_LABELS: File("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
        },
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar-10": Published(
        ("https://www.cs.toronto.edu/~kriz/",),
        {_ARCHIVE: File("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171)},
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}

# What the four files hold: the sizes of the axes, as their headers give them.
IDX_SHAPES = {
    _TRAIN_IMAGES: (60_000, 28, 28),
    _TRAIN_LABELS: (60_000,),
    _TEST_IMAGES: (10_000, 28, 28),
    _TEST_LABELS: (10_000,),
}

CIFAR_IMAGES = 10_000  # in each of its files: a byte for the label, then red, green and blue, 32 rows of 32 each
_CIFAR_ROW = 1 + 3 * 32 * 32
_CIFAR_FOLDER = "cifar-10-batches-bin"
_CIFAR_TEST = "test_batch.bin"
_CIFAR_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    progress: download.Progress | None = None,
) -> tuple[Dataset, Dataset]:
    """The official (training part, test part): x uint8 (samples, 28, 28), of cifar-10 (samples, 3, 32, 32).

    Each file is looked for in the set's own folder (``mnist/``, ...) in data_dir, or in the folder that the variable
    ENGINE_DATA names where none is given; then in ``cache_folder()``. What is nowhere is downloaded into the cache.

    The four files of the MNISTs may be unpacked; cifar-10 may be its archive, or the archive's files, also in the
    folder that unpacking makes. Where some of its training files are missing, those that are there are used, with a
    warning.

    Args:
        name: "mnist", "fashion-mnist" or "cifar-10".
        data_dir: holds one folder a set.
        progress: called as progress(file name, bytes so far, bytes in all or None) while a file is downloaded.

    Raises:
        DataError: a file that is not the official one, or that is not here and could not be downloaded.
        FileError: the cache cannot be written.
    """
    folders = _folders(name, data_dir)
    parts = _cifar(name, folders, progress) if name == "cifar-10" else _idx(name, folders, progress)
    class_names = SETS[name].class_names
    train, test = (Dataset(x, y, name, class_names=class_names, task="multiclass") for x, y in parts)
    return train, test


def at_hand(name: str, data_dir: str | os.PathLike[str] | None = None) -> bool:
    """Whether `load` would find a set's files without a download."""
    folders = _folders(name, data_dir)
    if name == "cifar-10":
        return next(_cifar_places(folders), None) is not None
    return all(_idx_path(file, folders) is not None for file in SETS[name].files)


def cache_folder() -> str:
    """Where downloaded sets are kept: chalkgrad in $XDG_CACHE_HOME, or in the system's folder for caches."""
    usual = {"win32": os.environ.get("LOCALAPPDATA") or "~/AppData/Local", "darwin": "~/Library/Caches"}
    base = os.environ.get("XDG_CACHE_HOME") or usual.get(sys.platform, "~/.cache")
    return os.path.join(os.path.expanduser(base), "chalkgrad")


def _folders(name: str, data_dir: str | os.PathLike[str] | None) -> list[str]:
    """Where to look for a set, the cache last."""
    if data_dir is not None and not os.path.isdir(os.path.expanduser(data_dir)):
        raise DataError(f"data_dir: {os.fspath(data_dir)} is no folder; it is one that has {name}'s files in {name}/.")
    given = os.environ.get("ENGINE_DATA") if data_dir is None else os.fspath(data_dir)
    return [os.path.join(os.path.expanduser(one), name) for one in (given, cache_folder()) if one]


def _downloaded(name: str, file: str, folder: str, progress: download.Progress | None) -> str:
    """The path of a file that was just downloaded into the cache."""
    path, published = os.path.join(folder, file), SETS[name]
    addresses = [address + file for address in published.addresses]
    elsewhere = f"name the folder that has them in {name}/ with --data-dir (data_dir=)"
    try:
        download.fetch(
            addresses, path, published.files[file].sha256, size=published.files[file].size, progress=progress
        )
    except DataError as error:
        files = ", ".join(published.files)
        what = f"the official files ({files})" if len(published.files) > 1 else files
        raise DataError(f"{name}: {error} Put {what} into {folder}, or {elsewhere}.") from None
    except FileError as error:
        raise FileError(f"{name}: {error} XDG_CACHE_HOME names another place; or {elsewhere}.") from None
    return path


def _wrong(path: str, what: str) -> DataError:
    return DataError(f"{path}: {what}. Delete it, so that it is downloaded anew; give a file of your own by its path.")


def _check_sum(path: str, got: str, published: File) -> None:
    if got != published.sha256:
        raise _wrong(path, f"its SHA-256 is {got[:12]}..., the official file's {published.sha256[:12]}...")


# -- mnist and fashion-mnist ---------------------------------------------------------------------------


def _idx(name: str, folders: list[str], progress: download.Progress | None) -> list[tuple[Bytes, Bytes]]:
    arrays = [_idx_array(name, file, folders, progress) for file in (_TRAIN_IMAGES, _TRAIN_LABELS)]
    arrays += [_idx_array(name, file, folders, progress) for file in (_TEST_IMAGES, _TEST_LABELS)]
    return [(arrays[0], arrays[1]), (arrays[2], arrays[3])]


def _idx_path(file: str, folders: list[str]) -> str | None:
    """Where a file is, packed or unpacked."""
    here = (os.path.join(folder, one) for folder in folders for one in (file, file.removesuffix(".gz")))
    return next((one for one in here if os.path.isfile(one)), None)


def _idx_array(name: str, file: str, folders: list[str], progress: download.Progress | None) -> Bytes:
    """One file: its header (two zeros, 8 for bytes, the number of axes; each axis in four bytes), then the bytes."""
    import hashlib

    path = _idx_path(file, folders) or _downloaded(name, file, folders[-1], progress)
    shape = IDX_SHAPES[file]
    header = bytes([0, 0, 8, len(shape)]) + b"".join(axis.to_bytes(4, "big") for axis in shape)
    size = len(header) + int(np.prod(shape))
    content = _content(path)
    if path.endswith(".gz"):
        _check_sum(path, hashlib.sha256(content).hexdigest(), SETS[name].files[file])
        try:
            content = zlib.decompress(content, zlib.MAX_WBITS | 16, size)  # 16: a gzip header and trailer
        except zlib.error as error:
            raise _wrong(path, f"it cannot be unpacked ({error})") from None
    if len(content) != size or not content.startswith(header):
        raise _wrong(path, f"{len(content):,} bytes; the official file has {size:,}, and a header of {shape}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}. Make it readable, or delete it.") from None


# -- cifar-10 ------------------------------------------------------------------------------------------


def _cifar(name: str, folders: list[str], progress: download.Progress | None) -> list[tuple[Bytes, Bytes]]:
    place, here = next(_cifar_places(folders), (None, []))
    if place is None:
        return _cifar_parts(_CIFAR_TRAIN, _archived(name, _downloaded(name, _ARCHIVE, folders[-1], progress)))
    if here == [_ARCHIVE]:
        return _cifar_parts(_CIFAR_TRAIN, _archived(name, os.path.join(place, _ARCHIVE)))
    training = [file for file in here if file != _CIFAR_TEST]
    _warn_of_missing(name, place, training)
    paths = [os.path.join(place, file) for file in here]
    return _cifar_parts(training, ((path, _content(path)) for path in paths))


def _cifar_places(folders: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(folder, its files), the archive or the test file and some of the training files, where they can be read from."""
    for folder in folders:
        for place in (folder, os.path.join(folder, _CIFAR_FOLDER)):
            here = [file for file in (*_CIFAR_TRAIN, _CIFAR_TEST) if os.path.isfile(os.path.join(place, file))]
            if _CIFAR_TEST in here and len(here) > 1:
                yield place, here
        if os.path.isfile(os.path.join(folder, _ARCHIVE)):
            yield folder, [_ARCHIVE]


def _warn_of_missing(name: str, place: str, training: list[str]) -> None:
    missing = [file for file in _CIFAR_TRAIN if file not in training]
    if missing:
        warnings.warn(
            f"{name}: {', '.join(missing)} are missing in {place}; {len(training) * CIFAR_IMAGES:,} training images "
            f"are used instead of {len(_CIFAR_TRAIN) * CIFAR_IMAGES:,}.",
            stacklevel=2,
        )


def _cifar_parts(training: Sequence[str], contents: Iterable[tuple[str, bytes]]) -> list[tuple[Bytes, Bytes]]:
    """Training files in their order, then the test file, from (path, content) in any order."""
    names = [*training, _CIFAR_TEST]
    x = np.empty((len(names), CIFAR_IMAGES, 3, 32, 32), np.uint8)
    y = np.empty((len(names), CIFAR_IMAGES), np.uint8)
    for path, content in contents:
        if len(content) != CIFAR_IMAGES * _CIFAR_ROW:
            raise _wrong(path, f"{len(content):,} bytes; the official file has {CIFAR_IMAGES * _CIFAR_ROW:,}")
        rows = np.frombuffer(content, np.uint8).reshape(CIFAR_IMAGES, _CIFAR_ROW)
        if rows[:, 0].max() > 9:
            raise _wrong(path, f"label {rows[:, 0].max()} at row {rows[:, 0].argmax()}; labels are 0 to 9")
        number = names.index(os.path.basename(path))
        x[number], y[number] = rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
    return [
        (x[:-1].reshape(-1, 3, 32, 32), y[:-1].reshape(-1)),
        (x[-1], y[-1]),
    ]


def _archived(name: str, archive: str) -> Iterator[tuple[str, bytes]]:
    """The six files straight out of the archive: nothing is written, whatever its members are called."""
    import hashlib
    import tarfile

    left = {f"{_CIFAR_FOLDER}/{file}" for file in (*_CIFAR_TRAIN, _CIFAR_TEST)}
    try:
        with open(archive, "rb") as file:
            _check_sum(archive, hashlib.file_digest(file, "sha256").hexdigest(), SETS[name].files[_ARCHIVE])
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as members:
                for member in members:
                    content = members.extractfile(member) if member.isfile() and member.name in left else None
                    if content is not None:
                        left.remove(member.name)
                        yield os.path.join(archive, member.name), content.read(CIFAR_IMAGES * _CIFAR_ROW + 1)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _wrong(archive, f"it cannot be read ({' '.join(str(error).split())})") from None
    if left:
        raise _wrong(archive, f"{sorted(left)[0]} is not in it")
