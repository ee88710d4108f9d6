"""Are the published sets found, checked byte by byte, put together and downloaded?"""

import contextlib
import gzip
import hashlib
import io
import struct
import sys
import tarfile
import warnings

import numpy as np
import pytest
from file_server import serving, status

from engine.commands import downloads
from engine.data import catalog, download, load, official
from engine.data.catalog import ENTRIES, names
from engine.errors import DataError, FileError

SHAPES = {
    "train-images-idx3-ubyte": (600, 28, 28),
    "train-labels-idx1-ubyte": (600,),
    "t10k-images-idx3-ubyte": (100, 28, 28),
    "t10k-labels-idx1-ubyte": (100,),
}
ROWS = 12  # in each of CIFAR's files
BATCHES = [f"data_batch_{number}.bin" for number in range(1, 6)]


def idx_files():
    """The four files with fewer images: name -> what is in it unpacked."""
    drawn = np.random.Generator(np.random.PCG64(1))
    return {
        name: struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
        + drawn.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8).tobytes()
        for name, shape in SHAPES.items()
    }


def cifar_files():
    drawn = np.random.Generator(np.random.PCG64(2))
    made = {}
    for name in [*BATCHES, "test_batch.bin"]:
        rows = drawn.integers(0, 256, (ROWS, 3073), np.uint8)
        rows[:, 0] %= 10
        made[name] = rows.tobytes()
    return made


IDX, CIFAR = idx_files(), cifar_files()
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in IDX.items()}


def archive(members, extra=()):
    """A tar.gz of (name, content) and of members that are no files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for member in extra:
            tar.addfile(member, None if not member.size else io.BytesIO(bytes(member.size)))
        for name, content in members:
            one = tarfile.TarInfo(name)
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))
    return written.getvalue()


ARCHIVE = archive([(f"cifar-10-batches-bin/{name}", content) for name, content in reversed(CIFAR.items())])


@pytest.fixture(autouse=True)
def small(request, tmp_path, monkeypatch):
    """The sets have fewer images, nobody serves them, and the cache is a new folder."""
    monkeypatch.delenv("ENGINE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if "real_data" in request.fixturenames:
        return
    quick = download.fetch
    monkeypatch.setattr(official.download, "fetch", lambda *given, **named: quick(*given, **named, pause=0.001))
    monkeypatch.setattr(official, "IDX_SHAPES", {f"{name}.gz": shape for name, shape in SHAPES.items()})
    monkeypatch.setattr(official, "CIFAR_IMAGES", ROWS)
    for name in ("mnist", "fashion-mnist"):
        publish(monkeypatch, name, PACKED)
    publish(monkeypatch, "cifar-10", {"cifar-10-binary.tar.gz": ARCHIVE})


def publish(monkeypatch, name, files, address="http://127.0.0.1:9/"):
    """These files are the official ones, at this address (a port where nobody answers)."""
    sums = {file: official.File(hashlib.sha256(content).hexdigest(), len(content)) for file, content in files.items()}
    monkeypatch.setitem(official.SETS, name, official.SETS[name]._replace(addresses=(address,), files=sums))


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def check_idx(parts):
    """The arrays, against what was written into the files."""
    for part, prefix in zip(parts, ("train", "t10k"), strict=True):
        labels, images = IDX[f"{prefix}-labels-idx1-ubyte"][8:], IDX[f"{prefix}-images-idx3-ubyte"][16:]
        assert part.y.tolist() == list(labels)
        assert part.x.dtype == np.uint8
        assert part.x.tobytes() == images
        assert part.x.shape == SHAPES[f"{prefix}-images-idx3-ubyte"]


def check_cifar(parts, batches=BATCHES):
    for part, files in zip(parts, (batches, ["test_batch.bin"]), strict=True):
        rows = b"".join(CIFAR[name] for name in files)
        assert part.y.tolist() == list(rows[::3073])
        assert part.x.shape == (len(files) * ROWS, 3, 32, 32)
        assert part.x[1, 2, 5, 7] == rows[3073 + 1 + 2 * 1024 + 5 * 32 + 7]
        assert part.x[-1].tobytes() == rows[-3072:]


# -- where the files are -------------------------------------------------------------------------------


def test_the_catalog_has_them():
    assert {"mnist", "fashion-mnist", "cifar-10"} <= set(names())
    for name in ("mnist", "fashion-mnist", "cifar-10"):
        entry = ENTRIES[name]
        assert (entry.task, entry.source, entry.scaling, entry.factor) == ("multiclass", "files", "scale", 1 / 255)
        assert len(set(official.SETS[name].class_names)) == 10


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("where", ["data_dir", "ENGINE_DATA", "cache"])
@pytest.mark.parametrize("form", ["compressed", "unpacked", "mixed"])
def test_the_mnists_are_found(tmp_path, monkeypatch, name, where, form):
    files = {"compressed": PACKED, "unpacked": IDX}.get(form) or dict([*PACKED.items()][:2] + [*IDX.items()][2:])
    put(tmp_path / ("cache/chalkgrad" if where == "cache" else "data") / name, files)
    if where == "ENGINE_DATA":
        monkeypatch.setenv("ENGINE_DATA", str(tmp_path / "data"))
    check_idx(catalog.raw(name, data_dir=tmp_path / "data" if where == "data_dir" else None, seed=3, test_fraction=0.5))


def test_data_dir_comes_before_the_variable_and_the_cache_comes_last(tmp_path, monkeypatch):
    put(tmp_path / "data" / "mnist", PACKED)
    for elsewhere in ("environment", "cache/chalkgrad"):
        put(tmp_path / elsewhere / "mnist", dict.fromkeys(PACKED, b"wrong"))
    monkeypatch.setenv("ENGINE_DATA", str(tmp_path / "environment"))
    check_idx(catalog.raw("mnist", data_dir=str(tmp_path / "data")))
    with pytest.raises(DataError, match="environment"):
        catalog.raw("mnist")
    monkeypatch.setenv("ENGINE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="chalkgrad"):
        catalog.raw("mnist")


def test_a_prepared_set_is_the_bytes_over_255(tmp_path):
    put(tmp_path / "mnist", PACKED)
    train, _ = load("mnist", data_dir=tmp_path)
    expected = np.frombuffer(IDX["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 28, 28) / 255
    np.testing.assert_allclose(train.x, expected, rtol=1e-7)
    assert (train.x.dtype, train.x.min(), train.x.max()) == (np.float32, 0, 1)
    assert (train.name, train.task, train.classes, train.preparation[0].factor) == ("mnist", "multiclass", 10, 1 / 255)


@pytest.mark.parametrize("where", ["", "cifar-10-batches-bin"])
def test_cifar_in_its_files(tmp_path, where):
    put(tmp_path / "cifar-10" / where, CIFAR)
    check_cifar(catalog.raw("cifar-10", data_dir=tmp_path))


def test_cifar_in_its_archive(tmp_path):
    put(tmp_path / "cifar-10", {"cifar-10-binary.tar.gz": ARCHIVE})
    check_cifar(catalog.raw("cifar-10", data_dir=tmp_path))
    assert [path.name for path in tmp_path.rglob("*.bin")] == []


def test_what_is_at_hand_is_told_without_reading_it(tmp_path):
    assert not official.at_hand("mnist", tmp_path)
    assert not official.at_hand("cifar-10", tmp_path)
    put(tmp_path / "mnist", dict([*PACKED.items()][:2] + [*IDX.items()][2:3]))
    assert not official.at_hand("mnist", tmp_path), "three files of four"
    put(tmp_path / "mnist", dict([*PACKED.items()][:2] + [*IDX.items()][2:]))
    assert official.at_hand("mnist", tmp_path)
    put(tmp_path / "cifar-10", {"test_batch.bin": b""})
    assert not official.at_hand("cifar-10", tmp_path), "nothing to train on"
    put(tmp_path / "cifar-10", {"data_batch_3.bin": b""})
    assert official.at_hand("cifar-10", tmp_path)
    put(tmp_path / "packed" / "cifar-10", {"cifar-10-binary.tar.gz": b""})
    assert official.at_hand("cifar-10", tmp_path / "packed")


def test_some_of_cifars_files_are_used_with_a_warning(tmp_path):
    some = {name: CIFAR[name] for name in ("data_batch_4.bin", "data_batch_2.bin", "test_batch.bin")}
    folder = put(tmp_path / "cifar-10", some)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_cifar(catalog.raw("cifar-10", data_dir=tmp_path), ["data_batch_2.bin", "data_batch_4.bin"])
    assert [str(one.message) for one in caught] == [
        f"cifar-10: data_batch_1.bin, data_batch_3.bin, data_batch_5.bin are missing in {folder}; "
        "24 training images are used instead of 60."
    ]


def test_odd_members_of_an_archive_are_passed_over(tmp_path, monkeypatch):
    link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    pipe = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
    pipe.type = tarfile.FIFOTYPE
    folder = tarfile.TarInfo("cifar-10-batches-bin")
    folder.type = tarfile.DIRTYPE
    odd = [tarfile.TarInfo(name) for name in ("/tmp/test_batch.bin", "../../test_batch.bin", "readme.html")]
    for one in odd:
        one.size = 100
    files = [(f"cifar-10-batches-bin/{name}", content) for name, content in CIFAR.items()]
    packed = archive([*files, ("cifar-10-batches-bin/data_batch_3.bin", b"again")], [link, pipe, folder, *odd])
    publish(monkeypatch, "cifar-10", {"cifar-10-binary.tar.gz": packed})
    put(tmp_path / "data" / "cifar-10", {"cifar-10-binary.tar.gz": packed})
    check_cifar(catalog.raw("cifar-10", data_dir=tmp_path / "data"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["cifar-10-binary.tar.gz"]


# -- what can be wrong with them -----------------------------------------------------------------------

FIX = r"\. Delete it, so that it is downloaded anew; give a file of your own by its path\.$"


def refused(name, folder, message):
    with pytest.raises(DataError, match=message) as caught:
        catalog.raw(name, data_dir=folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [lambda content: content[:-1], lambda content: content + b"x", lambda content: content[:-9] + bytes(9)]
)
def test_a_compressed_file_is_compared_with_its_sum(tmp_path, change):
    wrong = change(PACKED["t10k-images-idx3-ubyte.gz"])
    put(tmp_path / "mnist", {**PACKED, "t10k-images-idx3-ubyte.gz": wrong})
    got, expected = (hashlib.sha256(one).hexdigest()[:12] for one in (wrong, PACKED["t10k-images-idx3-ubyte.gz"]))
    path = str(tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz")
    refused("mnist", tmp_path, f"^{path}: its SHA-256 is {got}..., the official file's {expected}...{FIX}")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "train-images-idx3-ubyte",
            lambda content: content[:-1],
            "470,415 bytes; the official file has 470,416, and a",
        ),
        ("train-labels-idx1-ubyte", lambda content: content + b"x", "609 bytes; the official file has 608"),
        ("t10k-labels-idx1-ubyte", lambda content: b"", "0 bytes; the official file has 108"),
        ("t10k-images-idx3-ubyte", lambda content: bytes(16) + content[16:], r"and a header of \(100, 28, 28\)"),
    ],
)
def test_an_unpacked_file_has_its_size_and_header(tmp_path, name, change, message):
    put(tmp_path / "mnist", {**IDX, name: change(IDX[name])})
    refused("mnist", tmp_path, f"{name}: .*{message}.*{FIX}")


def test_labels_are_class_numbers(tmp_path):
    labels = IDX["train-labels-idx1-ubyte"][:-1] + b"\x0b"
    put(tmp_path / "mnist", {**IDX, "train-labels-idx1-ubyte": labels})
    refused("mnist", tmp_path, "mnist: 10 class names; y has 12 classes")
    put(tmp_path / "cifar-10", {**CIFAR, "data_batch_2.bin": bytes(3073) + b"\x0a" + CIFAR["data_batch_2.bin"][3074:]})
    refused("cifar-10", tmp_path, f"data_batch_2.bin: label 10 at row 1; labels are 0 to 9{FIX}")


@pytest.mark.parametrize("where", ["files", "archive"])
@pytest.mark.parametrize("length", [ROWS * 3073 - 1, ROWS * 3073 + 1, 0])
def test_cifars_files_have_their_size(tmp_path, monkeypatch, where, length):
    files = {**CIFAR, "test_batch.bin": (CIFAR["test_batch.bin"] * 2)[:length]}
    if where == "archive":
        files = {"cifar-10-binary.tar.gz": archive([(f"cifar-10-batches-bin/{name}", files[name]) for name in files])}
        publish(monkeypatch, "cifar-10", files)
    put(tmp_path / "cifar-10", files)
    refused("cifar-10", tmp_path, f"test_batch.bin: {length:,} bytes; the official file has 36,876{FIX}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive([("cifar-10-batches-bin/" + name, CIFAR[name]) for name in BATCHES]), "test_batch.bin is not in it"),
        (ARCHIVE[:-5000], "it cannot be read"),
        (b"no archive at all", "it cannot be read"),
        (gzip.compress(b"x" * 2000), "it cannot be read"),
        (b"", "it cannot be read"),
    ],
)
def test_an_archive_that_is_none(tmp_path, monkeypatch, content, message):
    put(tmp_path / "cifar-10", {"cifar-10-binary.tar.gz": content})
    refused("cifar-10", tmp_path, r"cifar-10-binary.tar.gz: its SHA-256 is [0-9a-f]{12}\.\.\., the official file's")
    publish(monkeypatch, "cifar-10", {"cifar-10-binary.tar.gz": content})
    refused("cifar-10", tmp_path, f"cifar-10-binary.tar.gz: .*{message}.*{FIX}")


def test_a_published_file_that_cannot_be_unpacked(tmp_path, monkeypatch):
    files = dict.fromkeys(PACKED, b"\x1f\x8bno gzip")
    publish(monkeypatch, "mnist", files)
    put(tmp_path / "mnist", files)
    refused("mnist", tmp_path, f"train-images-idx3-ubyte.gz: it cannot be unpacked .*{FIX}")


def test_a_folder_that_is_not_there(tmp_path):
    refused("mnist", tmp_path / "typo", r"data_dir: .*typo is no folder; it is one that has mnist's files in mnist/\.")


# -- downloads -----------------------------------------------------------------------------------------


def test_what_is_missing_is_downloaded_into_the_cache(tmp_path, monkeypatch):
    here = dict([*PACKED.items()][:1])
    put(tmp_path / "data" / "mnist", here)
    told = []
    with serving({f"/at/{name}": content for name, content in PACKED.items()}) as server:
        publish(monkeypatch, "mnist", PACKED, server.url + "at/")
        check_idx(catalog.raw("mnist", data_dir=tmp_path / "data", progress=lambda *given: told.append(given)))
        assert [asked[0] for asked in server.asked] == [f"/at/{name}" for name in PACKED if name not in here]
        check_idx(catalog.raw("mnist", data_dir=tmp_path / "data"))
        assert len(server.asked) == 3
    cached = {path.name for path in (tmp_path / "cache" / "chalkgrad" / "mnist").iterdir()}
    assert cached == set(PACKED) - set(here)
    assert told[-1] == ("t10k-labels-idx1-ubyte.gz", *[len(PACKED["t10k-labels-idx1-ubyte.gz"])] * 2)
    assert [path.name for path in (tmp_path / "data" / "mnist").iterdir()] == [*here]


def test_cifar_is_downloaded(monkeypatch):
    with serving({"/cifar-10-binary.tar.gz": ARCHIVE}) as server:
        publish(monkeypatch, "cifar-10", {"cifar-10-binary.tar.gz": ARCHIVE}, server.url)
        check_cifar(catalog.raw("cifar-10"))


def test_without_a_network_one_line_says_which_files_go_where(tmp_path):
    place = tmp_path / "cache" / "chalkgrad"
    with pytest.raises(DataError) as caught:
        catalog.raw("mnist")
    said, _, fix = str(caught.value).partition(" Put ")
    assert said.startswith("mnist: train-images-idx3-ubyte.gz could not be downloaded: 127.0.0.1:9 was not reached (")
    assert fix == (
        f"the official files ({', '.join(PACKED)}) into {place / 'mnist'}, "
        "or name the folder that has them in mnist/ with --data-dir (data_dir=)."
    )
    with pytest.raises(DataError, match=f"Put cifar-10-binary.tar.gz into {place / 'cifar-10'}, or name the folder"):
        catalog.raw("cifar-10")


def test_wrong_bytes_are_not_kept(tmp_path, monkeypatch):
    with serving(dict.fromkeys([f"/{name}" for name in PACKED], b"page" * 100_000)) as server:
        publish(monkeypatch, "mnist", PACKED, server.url)
        with pytest.raises(DataError, match="sent other bytes than the published ones"):
            catalog.raw("mnist")
        server.behaviours = [status(404)]
        with pytest.raises(DataError, match="answered with 404"):
            catalog.raw("mnist")
    assert [*(tmp_path / "cache" / "chalkgrad" / "mnist").iterdir()] == []


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        FileError, match=r"^mnist: .*could not be written: .* XDG_CACHE_HOME names another pl"
    ) as caught:
        catalog.raw("mnist")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "HOME", ".cache/chalkgrad"),
        ("darwin", "HOME", "Library/Caches/chalkgrad"),
        ("win32", "LOCALAPPDATA", "chalkgrad"),
        ("linux", "XDG_CACHE_HOME", "chalkgrad"),
    ],
)
def test_the_cache_is_where_caches_are(tmp_path, monkeypatch, platform, variable, expected):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(official.sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert official.cache_folder() == str(tmp_path / expected)


# -- the real ones -------------------------------------------------------------------------------------


def test_the_real_mnist(real_data):
    train, test = catalog.raw("mnist", data_dir=real_data)
    assert (train.x.shape, test.x.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # the first digits of the set, known to many
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert round(train.x.mean() / 255, 4) == 0.1307  # the mean by which it is usually standardised
    assert round(train.x.std() / 255, 4) == 0.3081


@pytest.mark.filterwarnings("ignore:cifar-10. data_batch")
def test_the_real_cifar(real_data):
    train, test = catalog.raw("cifar-10", data_dir=real_data)
    assert train.x.shape[1:] == test.x.shape[1:] == (3, 32, 32)
    assert train.y[:5].tolist() == [6, 9, 9, 4, 1]  # a frog, two trucks, a deer, an automobile
    assert np.bincount(test.y).tolist() == [1000] * 10
    assert train.x[0, :, 0, 0].tolist() == [59, 62, 63]  # the frog's first pixel


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_person_sees_of_a_download(terminal, monkeypatch):
    """On a terminal a bar, which hides the cursor: after a failure it is there again."""
    written = io.StringIO()
    written.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.suppress(KeyError), downloads.shown() as progress:
        for done in (0, 1_500_000):
            progress("images.gz", done, 3_000_000)
        raise KeyError
    said = written.getvalue()
    if terminal:
        assert "images.gz" in said
        assert said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l") > -1
    else:
        assert said == "downloading images.gz (3.0 MB)\n"
