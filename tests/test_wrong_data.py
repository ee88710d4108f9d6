"""Is every wrong file and every wrong word about data answered with one line, exit code 2 and nothing left behind?"""

import gzip
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

CSV = "a,b,kind\n" + "".join(f"{row},{row % 7},{'xy'[row % 2]}\n" for row in range(20))
IDX = struct.pack(">4B2I", 0, 0, 8, 2, 10, 3) + bytes(30)


@pytest.fixture
def files(here):
    """Good files and, made of them, damaged ones."""
    Path("good.csv").write_text(CSV)
    Path("good.idx").write_bytes(IDX)
    np.save("good.npy", np.arange(60.0).reshape(20, 3))
    np.savez("good.npz", x=np.arange(40.0).reshape(20, 2), y=np.arange(20) % 2)
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("a,b,kind\n")
    Path("ragged.csv").write_text(CSV + "1,2\n")
    Path("long.csv").write_text(CSV + "1,2,x,4\n")
    Path("twice.csv").write_text(CSV.replace("a,b", "a,a"))
    Path("holes.csv").write_text(CSV.replace("3,3,y", "3,,y"))
    Path("no-target.csv").write_text(CSV.replace("3,3,y", "3,3,"))
    Path("nan.csv").write_text(CSV.replace("3,3,y", "3,inf,y"))
    Path("text.csv").write_text(CSV.replace("3,3,y", "3,three,y"))
    Path("quote.csv").write_text(CSV + '"1,2,x\n')
    Path("latin.csv").write_bytes(CSV.replace("x", "é").encode("latin-1"))
    Path("null.csv").write_bytes(CSV.encode() + b"1,\x002,x\n")
    Path("one-class.csv").write_text(CSV.replace("y\n", "x\n"))
    Path("one-row.csv").write_text("a,b\n1,2\n")
    Path("kinds.csv").write_text("a,kind\n1,x\n2,y\n3,z\n")
    Path("one-column.csv").write_text("a\n1\n2\n")
    Path("names.csv").write_text("id,kind\n" + "".join(f"name{row},{'xy'[row % 2]}\n" for row in range(20)))
    Path("cut.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-12])
    Path("flipped.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-8] + bytes(8))
    Path("false.csv.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(40))
    Path("cut.idx").write_bytes(IDX[:-1])
    Path("long.idx").write_bytes(IDX + b"0")
    Path("huge.idx").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 2**20, 2**20, 2**20) + bytes(30))
    Path("kind.idx").write_bytes(b"\0\0\x07" + IDX[3:])
    Path("flat.idx").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 30) + bytes(30))
    content = Path("good.npy").read_bytes()
    Path("cut.npy").write_bytes(content[:-1])
    Path("huge.npy").write_bytes(content.replace(b"(20, 3)", b"(%d,)" % 2**60)[: len(content)])
    Path("magic.npy").write_bytes(b"\x92" + content[1:])
    np.save("objects.npy", np.array([{}, None], dtype=object), allow_pickle=True)
    np.save("words.npy", np.array(["a", "b"]))
    np.save("nan.npy", np.where(np.arange(60).reshape(20, 3) == 7, np.nan, 1.0))
    np.save("cube.npy", np.zeros((4, 3, 2)))
    np.save("short.npy", np.arange(19))
    np.save("thirds.npy", np.arange(20) / 3)
    np.savez("parts.npz", x_train=np.eye(4), y_train=[0, 1, 0, 1], x_test=np.eye(4), y_test=[0, 1, 1, 0])
    np.savez("label.npz", x_train=np.eye(4), y_train=[0, 1, 0, 1], x_test=np.eye(4), y_test=[0, 1, 2, 0])
    Path("cut.npz").write_bytes(Path("good.npz").read_bytes()[:-40])
    Path("zip.npz").write_bytes(b"PK\x03\x04" + bytes(40))
    np.savez("odd.npz", a=np.zeros((3, 2)), b=np.zeros((3, 2)))
    Path("cut.bin").write_bytes(bytes(3073 * 2 - 1))
    Path("svm.libsvm").write_text("1 1:0.5 2:x\n-1 1:0.5\n")
    Path("images").mkdir()
    Path("classes", "a").mkdir(parents=True)
    Path("broken", "a").mkdir(parents=True)
    Path("broken", "b").mkdir()
    for folder in "ab":
        Path("broken", folder, "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with tarfile.open("set.tar.gz", "w:gz") as archive:
        archive.add("good.csv")
    Path("sealed.csv").write_text(CSV)
    Path("sealed.csv").chmod(0)
    for name in ("mnist", "short/mnist", "wrong/mnist"):
        Path(name).mkdir(parents=True)
    Path("short/mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(IDX)[:-5])
    Path("wrong/mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(IDX))
    return here


# What is given after `train`, and what the one line has in it.
WRONG = {
    # data that is not there
    "no file": (("--data", "nothing.csv"), "nothing.csv"),
    "no set": (("--data", "digitz"), "digitz"),
    "no file that can be read": (("--data", "/proc/self/mem"), "/proc/self/mem"),
    "no folder of classes": (("--data", "images"), "images"),
    "a folder of empty classes": (("--data", "classes"), "classes"),
    "no test file": (("--data", "good.csv", "--test", "nothing.csv"), "nothing.csv"),
    "no target file": (("--data", "good.npz", "--target", "nothing.npy"), "nothing.npy"),
    "an official file that is cut": (("--data", "mnist", "--data-dir", "short"), "train-images-idx3-ubyte.gz"),
    "an official file with a wrong checksum": (
        ("--data", "mnist", "--data-dir", "wrong"),
        "train-images-idx3-ubyte.gz",
    ),
    # tables
    "empty": (("--data", "empty.csv"), "empty.csv"),
    "a header alone": (("--data", "header.csv"), "header.csv"),
    "a short row": (("--data", "ragged.csv"), "ragged.csv, line 22"),
    "a long row": (("--data", "long.csv"), "long.csv, line 22"),
    "a name twice": (("--data", "twice.csv"), "'a'"),
    "an empty cell": (("--data", "holes.csv"), "line 5, column 'b'"),
    "an empty target": (("--data", "no-target.csv"), "line 5, column 'kind'"),
    "an empty target is not filled": (("--data", "no-target.csv", "--impute", "mean"), "line 5, column 'kind'"),
    "infinity": (("--data", "nan.csv"), "line 5, column 'b'"),
    "text among numbers": (("--data", "text.csv"), "line 5, column 'b'"),
    "an open quote": (("--data", "quote.csv"), "quote.csv"),
    "not UTF-8": (("--data", "latin.csv"), "UTF-8"),
    "a null byte": (("--data", "null.csv"), "null.csv"),
    "one class": (("--data", "one-class.csv"), "one-class.csv"),
    "one row": (("--data", "one-row.csv"), "one-row.csv"),
    "one column": (("--data", "one-column.csv"), "one-column.csv"),
    "a column of identifiers": (("--data", "names.csv"), "'id'"),
    "a cut gzip": (("--data", "cut.csv.gz"), "cut.csv.gz"),
    "a gzip with a wrong sum": (("--data", "flipped.csv.gz"), "flipped.csv.gz"),
    "no gzip": (("--data", "false.csv.gz"), "false.csv.gz"),
    "an archive": (("--data", "set.tar.gz"), "set.tar.gz"),
    "one row a class": (("--data", "kinds.csv"), "More samples of each are needed"),
    # columns
    "no such target": (("--data", "good.csv", "--target", "knid"), "'kind'"),
    "a target beyond the last": (("--data", "good.csv", "--target", "3"), "good.csv"),
    "a target before the first": (("--data", "good.csv", "--target", "-4"), "good.csv"),
    "ignored and target": (("--data", "good.csv", "--ignore", "kind"), "'kind'"),
    "no such column to ignore": (("--data", "good.csv", "--ignore", "c"), "'c'"),
    "no such text column": (("--data", "good.csv", "--text", "c"), "'c'"),
    "everything ignored": (("--data", "good.csv", "--ignore", "a,b"), "good.csv"),
    "an empty name": (("--data", "good.csv", "--target", "a,,b"), "'a,,b'"),
    "words are no numbers": (("--data", "good.csv", "--task", "regression"), "kind"),
    "numbers are no labels": (("--data", "good.npy", "--task", "multilabel"), "multilabel"),
    "a loss for classes": (("--data", "good.csv", "--target", "a", "--task", "regression", "--loss", "hinge"), "hinge"),
    "weights for numbers": (
        ("--data", "good.csv", "--target", "a", "--task", "regression", "--class-weight", "1,2"),
        "--class-weight",
    ),
    "three weights": (("--data", "good.csv", "--class-weight", "1,2,3"), "--class-weight"),
    "no header": (("--data", "good.csv", "--header", "no"), "good.csv"),
    "a wrong separator": (("--data", "good.csv", "--separator", ";"), "good.csv"),
    # arrays
    "a cut idx": (("--data", "cut.idx"), "cut.idx"),
    "a long idx": (("--data", "long.idx"), "long.idx"),
    "2^60 elements": (("--data", "huge.idx"), "huge.idx"),
    "no element type": (("--data", "kind.idx"), "kind.idx"),
    "labels alone": (("--data", "flat.idx"), "flat.idx"),
    "a cut npy": (("--data", "cut.npy"), "cut.npy"),
    "an npy of 2^60": (("--data", "huge.npy"), "huge.npy"),
    "no npy": (("--data", "magic.npy"), "magic.npy"),
    "objects": (("--data", "objects.npy"), "objects.npy"),
    "words in an npy": (("--data", "words.npy"), "words.npy"),
    "NaN": (("--data", "nan.npy"), "nan.npy"),
    "images without labels": (("--data", "cube.npy"), "--target"),
    "too few labels": (("--data", "good.npy", "--target", "short.npy"), "19"),
    "a column of an npy by name": (("--data", "good.npy", "--target", "kind"), "'kind'"),
    "a cut npz": (("--data", "cut.npz"), "cut.npz"),
    "no npz": (("--data", "zip.npz"), "zip.npz"),
    "an npz without x": (("--data", "odd.npz"), "odd.npz"),
    "a target beside targets": (("--data", "good.npz", "--target", "0"), "good.npz"),
    "a cut CIFAR": (("--data", "cut.bin"), "cut.bin"),
    "LIBSVM with a word": (("--data", "svm.libsvm"), "svm.libsvm"),
    "no image": (("--data", "broken"), "1.png"),
    "an unknown label in an array": (("--data", "label.npz"), "label.npz, row 2 (counted from 0)"),
    "thirds of a class": (
        ("--data", "good.npy", "--target", "thirds.npy", "--task", "multiclass"),
        "row 1 (counted from 0), column 'target': the cell is 0.3333333333333333; classes are whole numbers or texts. "
        "Correct it",
    ),
    # options
    "no such task": (("--data", "good.csv", "--task", "guess"), "guess"),
    "no such imputation": (("--data", "good.csv", "--impute", "guess"), "guess"),
    "no such scaling": (("--data", "good.csv", "--scaling", "robust"), "robust"),
    "a header that may be": (("--data", "good.csv", "--header", "maybe"), "maybe"),
    "a long separator": (("--data", "good.csv", "--separator", "ab"), "'ab'"),
    "a negative size": (("--data", "images", "--image-size", "-3x4"), "--image-size"),
    "no size": (("--data", "images", "--image-size", "32"), "'32'"),
    "a size for a table": (("--data", "good.csv", "--image-size", "4x4"), "good.csv"),
    "no such augmentation": (("--data", "good.csv", "--augment", "rotate"), "rotate"),
    "flat samples": (("--data", "good.csv", "--augment", "flip"), "Flip"),
    "a target for a set": (("--data", "xor", "--target", "0"), "--target"),
    "imputing a set": (("--data", "xor", "--impute", "mean"), "--impute"),
    "points of a file": (("--data", "good.csv", "--samples", "9"), "--samples"),
    "targets of no test": (("--data", "good.npy", "--test-target", "good.npy"), "--test"),
    "two of three classes": (("--data", "kinds.csv", "--task", "binary"), "Use --task multiclass"),
    "a share of no part": (("--data", "good.csv", "--test", "good.csv", "--test-fraction", "0.5"), "--test-fraction"),
    "a share of a part of its own": (("--data", "parts.npz", "--test-fraction", "0.5"), "--test-fraction: parts has"),
    "no path for data": (("--data", ""), "--data: ''"),
    "no path for the output": (("--data", "good.csv", "--output", ""), "--output: ''"),
    "no path for the test": (("--data", "good.csv", "--test", ""), "--test: ''"),
    "a size beyond memory": (("--data", "broken", "--image-size", "70000x2"), "from 1 to 65536"),
    "a folder that is none": (("--data", "mnist", "--data-dir", "good.csv"), "--data-dir: good.csv is no folder"),
    "all held out": (("--data", "good.csv", "--test-fraction", "1"), "'1'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong(case, engine, files):
    line, said_of = WRONG[case]
    before = {path: path.lstat().st_mtime_ns for path in files.rglob("*")}
    code, printed, said = engine("train", *line, "--epochs", "1", "--hidden", "2")
    assert (code, printed) == (2, ""), said
    assert said.startswith("engine train: ")
    assert said.count("\n") == 1
    assert said_of in said
    assert "This should not happen" not in said
    assert len(said) < 600
    assert {path: path.lstat().st_mtime_ns for path in files.rglob("*")} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(engine, files):
    code, printed, said = engine("train", "--data", "sealed.csv")
    assert (code, printed) == (2, "")
    assert "sealed.csv" in said
    assert said.count("\n") == 1


# What is given after `predict run` and `evaluate run`, where the run was trained on good.csv.
WRONG_LATER = {
    "predict: no file": (("predict", "run", "nothing.csv"), "nothing.csv"),
    "predict: a column less": (("predict", "run", "a.csv"), "'b'"),
    "predict: words for numbers": (("predict", "run", "text.csv"), "line 5, column 'b'"),
    "predict: an empty cell": (
        ("predict", "run", "holes.csv"),
        "line 5, column 'b': the cell is empty; every input needs a value. Fill it, or train with --impute mean",
    ),
    "predict: beyond float32": (("predict", "run", "large.npy"), "large.npy: x is inf at row 0, column 0"),
    "predict: an array too wide": (("predict", "run", "wide.npy"), "wide.npy"),
    "predict: a part of a file": (("predict", "run", "good.csv", "--part", "train"), "--part"),
    "predict: over its input": (("predict", "run", "good.csv", "--output", "good.csv"), "good.csv"),
    "predict: into no folder": (("predict", "run", "good.csv", "--output", "none/p.csv"), "none/p.csv"),
    "predict: a set of another form": (("predict", "run", "iris"), "iris"),
    "evaluate: no file": (("evaluate", "run", "--data", "nothing.csv"), "nothing.csv"),
    "evaluate: no target": (("evaluate", "run", "--data", "ab.csv"), "'kind'"),
    "evaluate: an unknown label": (("evaluate", "run", "--data", "label.csv"), "'z'"),
    "evaluate: a part of a file": (
        ("evaluate", "run", "--data", "good.csv", "--part", "train"),
        "engine evaluate: --part: 'good.csv' is a file",
    ),
    "evaluate: targets of itself": (("evaluate", "run", "--target", "good.npy"), "engine evaluate: --target"),
    "evaluate: no validation": (
        ("evaluate", "run", "--part", "validation"),
        "engine evaluate: --part: run has no validation part",
    ),
}


@pytest.mark.parametrize("case", WRONG_LATER)
def test_wrong_later(case, engine, files):
    assert engine("train", "--data", "good.csv", "--epochs", "1", "--hidden", "2", "--output", "run", "--quiet")[0] == 0
    rows = CSV.splitlines()
    Path("a.csv").write_text("\n".join(row.split(",")[0] for row in rows))
    Path("ab.csv").write_text("\n".join(row.rsplit(",", 1)[0] for row in rows))
    Path("label.csv").write_text(CSV.replace("3,3,y", "3,3,z"))
    np.save("wide.npy", np.zeros((4, 7)))
    np.save("large.npy", np.full((2, 2), 1e300))
    line, said_of = WRONG_LATER[case]
    code, printed, said = engine(*line)
    assert (code, printed) == (2, ""), said
    assert said.startswith(f"engine {line[0]}: ")
    assert said.count("\n") == 1
    assert said_of in said
    assert "This should not happen" not in said
