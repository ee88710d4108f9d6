"""Do the commands take the data that people have, and answer what they cannot take with one line?"""

import csv
import gzip
import json
import lzma
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import engine as en
from engine import runs
from engine.runs import Run

QUICK = ("--hidden", "4", "--epochs", "1", "--quiet", "--output", "run")

FLOWERS = "length,width,colour,kind\n" + "".join(
    f"{1 + 3 * kind + 0.1 * (row % 7)},{2 - 0.1 * (row % 5)},{('red', 'blue')[row % 2]},{('oak', 'elm', 'ash')[kind]}\n"
    for row, kind in enumerate([0, 1, 2] * 20)
)


@pytest.fixture
def files(here):
    """One small file of every kind that trains."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((60, 3)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int64)
    Path("flowers.csv").write_text(FLOWERS)
    Path("prices.csv").write_text("size,price\n" + "".join(f"{row},{2.5 * row + 7.25}\n" for row in range(60)))
    np.save("x.npy", x)
    np.save("y.npy", y)
    np.save("both.npy", np.column_stack([x, y]))
    np.savez("set.npz", x=x, y=y)
    np.savez("parts.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    images = generator.integers(0, 256, (60, 4, 5), dtype=np.uint8)
    header = struct.pack(">4B3I", 0, 0, 8, 3, 60, 4, 5)
    Path("images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    Path("labels-idx1-ubyte.xz").write_bytes(
        lzma.compress(struct.pack(">4BI", 0, 0, 8, 1, 60) + y.astype(">u1").tobytes())
    )
    lines = [
        " ".join([str(2 * label - 1), *(f"{i + 1}:{v:.4f}" for i, v in enumerate(row))])
        for row, label in zip(x, y, strict=True)
    ]
    Path("set.libsvm").write_text("\n".join(lines) + "\n")
    cifar = np.concatenate(
        [y[:, None].astype(np.uint8), generator.integers(0, 256, (60, 3072), dtype=np.uint8)], axis=1
    )
    Path("batch.bin").write_bytes(cifar.tobytes())
    return here


TRAINED = {
    "csv": ("flowers.csv", (), "multiclass", [4]),
    "csv, target by number": ("flowers.csv", ("--target", "-1", "--ignore", "0"), "multiclass", [3]),
    "csv, two classes": ("flowers.csv", ("--target", "colour"), "binary", [5]),
    "csv, regression": ("prices.csv", ("--target", "price"), "regression", [1]),
    "csv, two values": ("flowers.csv", ("--target", "length,width"), "regression", [5]),
    "npy with its target": ("both.npy", (), "binary", [3]),
    "npy and a file of targets": ("x.npy", ("--target", "y.npy"), "binary", [3]),
    "npz": ("set.npz", (), "binary", [3]),
    "npz with its test": ("parts.npz", (), "binary", [3]),
    "idx": ("images-idx3-ubyte.gz", ("--target", "labels-idx1-ubyte.xz"), "binary", [4, 5]),
    "LIBSVM": ("set.libsvm", (), "binary", [3]),
    "CIFAR": ("batch.bin", (), "binary", [3, 32, 32]),
}


@pytest.mark.parametrize("case", TRAINED)
def test_train_evaluate_predict(case, engine, files):
    """On a file of every kind; what predict says of the training file is what evaluate measures on it."""
    path, options, task, inputs = TRAINED[case]
    code, printed, said = engine("train", "--data", path, *options, *QUICK)
    assert (code, said) == (0, "")
    run = Run.open("run")
    assert run.config["data"]["task"] == task
    assert run.config["model"]["inputs"] == inputs
    assert engine("evaluate", "run", "--quiet") == (0, printed, "")

    target = options[1] if options[:1] == ("--target",) and Path(options[1]).is_file() else None
    line = ("evaluate", "run", "--data", path, "--json", *(() if target is None else ("--target", target)))
    code, printed, said = engine(*line)
    assert (code, said) == (0, "")
    result = json.loads(printed)
    assert result["samples"] == (40 if case == "npz with its test" else 60)
    code, printed, said = engine("predict", "run", path)
    assert (code, said) == (0, "")
    rows = list(csv.DictReader(printed.splitlines()))
    assert len(rows) == result["samples"]
    if task != "regression":
        train, _ = en.data.load(path, target=options[1].split(",") if "--target" in options else ())
        names = run.intake().class_names
        reader = run.intake().reader
        content = en.data.read(path)
        actual = reader.part(content, path, target).data.y
        right = np.mean([int(row["class"]) == label for row, label in zip(rows, actual, strict=True)])
        assert right == result["test"]["accuracy"]
        assert {row["name"] for row in rows} <= set(names)
        assert set(train.class_names) == set(names)


def test_run_and_file_moved_apart(engine, files):
    """The run is told by name alone: it works from anywhere, and says what it needs where its data is not."""
    assert engine("train", "--data", "flowers.csv", *QUICK)[0] == 0
    wanted = engine("evaluate", "run", "--data", "flowers.csv", "--quiet")
    Path("deep").mkdir()
    shutil.move("run", "deep/other")
    shutil.move("flowers.csv", "deep/trees.csv")
    assert engine("evaluate", "deep/other", "--data", "deep/trees.csv", "--quiet") == wanted
    code, printed, said = engine("evaluate", "deep/other")
    assert (code, printed) == (2, "")
    assert said == (
        "engine evaluate: data 'flowers.csv', which deep/other was trained on, is not here. Name a file with --data, "
        "or run this in the folder where the training was started.\n"
    )


def test_columns_are_found_by_name(engine, files):
    """In any order, with others between them, with the target or without; by position where there are no names."""
    assert engine("train", "--data", "flowers.csv", *QUICK)[0] == 0
    _, wanted, _ = engine("predict", "run", "flowers.csv")
    rows = list(csv.DictReader(FLOWERS.splitlines()))
    names = ["note", "colour", "length", "width"]
    Path("swapped.csv").write_text(
        "\n".join([";".join(names), *(";".join([f"n{i}", *(row[n] for n in names[1:])]) for i, row in enumerate(rows))])
    )
    Path("plain.csv").write_text("".join(FLOWERS.splitlines(keepends=True)[1:]))
    Path("inputs.csv").write_text("\n".join(",".join(list(row.values())[:3]) for row in rows))
    for name in ("swapped.csv", "plain.csv", "inputs.csv"):
        assert engine("predict", "run", name) == (0, wanted, ""), name


def test_columns_from_the_end(engine, files):
    """Numbers below 0 with commas are values, and no options that are unknown."""
    assert engine("train", "--data", "flowers.csv", "--target", "-4,-3", "--ignore", "-1,2", *QUICK)[0] == 2
    assert engine("train", "--data", "both.npy", "--target", "-2,-1", "--ignore", "0", *QUICK)[0] == 0
    assert Run.open("run").config["model"]["outputs"] == 2


def test_arrays_in_place_of_tables_and_pictures(engine, here):
    """What was said of the training's file is not asked of a file of arrays."""
    rows = [(row, row % 7, "yn"[row % 2]) for row in range(40)]
    Path("a.csv").write_text("".join(f"{a};{b};{kind}\n" for a, b, kind in rows))
    np.save("a.npy", [row[:2] for row in rows])
    assert engine("train", "--data", "a.csv", "--separator", ";", "--header", "no", *QUICK)[0] == 0
    assert engine("predict", "run", "a.npy") == engine("predict", "run", "a.csv")

    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 4), dtype=np.uint8)
    for number, one in enumerate(pixels):
        Path("pictures", "ab"[number // 4]).mkdir(parents=True, exist_ok=True)
        image.fromarray(one).save(Path("pictures", "ab"[number // 4], f"{number}.png"))
    np.save("pictures.npy", pixels[:, None])
    assert engine("train", "--data", "pictures", "--image-size", "3x4", *QUICK, "--overwrite")[0] == 0
    assert engine("predict", "run", "pictures.npy") == engine("predict", "run", "pictures")


def test_missing_cells(engine, here):
    """An error that names the cell, unless they are filled by what the training part shows; so at prediction."""
    lines = FLOWERS.splitlines()
    lines[3] = lines[3].replace(",", ",?", 1).replace("?" + lines[3].split(",")[1], "?")
    lines[5] = "," + lines[5].split(",", 1)[1]
    Path("holes.csv").write_text("\n".join(lines))
    code, printed, said = engine("train", "--data", "holes.csv", *QUICK)
    assert (code, printed) == (2, "")
    assert said.startswith("engine train: holes.csv, line ")
    assert "--impute" in said
    assert not Path("run").exists()
    for how in ("mean", "median", "most-frequent"):
        assert engine("train", "--data", "holes.csv", "--impute", how, *QUICK, "--overwrite")[0] == 0
        assert len(engine("predict", "run", "holes.csv")[1].splitlines()) == 61
    assert (
        engine(
            "train",
            "--data",
            "flowers.csv" if Path("flowers.csv").exists() else "holes.csv",
            "--impute",
            "mean",
            *QUICK,
            "--overwrite",
        )[0]
        == 0
    )


def test_preparation_is_fitted_on_the_training_part_alone(engine, files):
    assert engine("train", "--data", "both.npy", "--validation", "0.25", *QUICK)[0] == 0
    x, y = np.load("x.npy"), np.load("y.npy")
    rest, _ = en.data.split(en.data.Dataset(np.arange(60)[:, None], y), 0.2, seed=0)
    rest, _ = en.data.split(rest, 0.25, seed=0)
    stored = json.loads(Path("run", runs.PREPARATION).read_text())
    rows = x[rest.x[:, 0]].astype(np.float64)
    np.testing.assert_allclose(stored["features"][0]["mean"], rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(stored["features"][0]["scale"], rows.std(axis=0), rtol=1e-12)


def test_one_hot_columns_stay_0_and_1(files):
    train, test = en.data.load("flowers.csv")
    assert train.feature_names == ("length", "width", "colour=blue", "colour=red")
    assert set(np.unique(train.x[:, 2:])) == {0.0, 1.0}
    np.testing.assert_allclose(train.x[:, :2].mean(axis=0), 0, atol=1e-6)
    assert (train.class_names, test.task) == (("ash", "elm", "oak"), "multiclass")


def test_several_labels(engine, here):
    generator = np.random.default_rng(1)
    x = generator.standard_normal((80, 2))
    rows = [f"{a:.4f},{b:.4f},{int(a > 0)},{int(b > 0)}" for a, b in x]
    Path("tags.csv").write_text("a,b,warm,wet\n" + "\n".join(rows))
    line = (
        "train",
        "--data",
        "tags.csv",
        "--target",
        "warm,wet",
        "--hidden",
        "8",
        "--epochs",
        "60",
        "--batch-size",
        "8",
    )
    code, printed, said = engine(*line, "--output", "run")
    assert (code, said) == (0, "")
    assert "multilabel" in printed
    accuracy = float(printed.split()[-1])
    assert accuracy > 0.9
    rows = list(csv.DictReader(engine("predict", "run", "tags.csv")[1].splitlines()))
    assert list(rows[0]) == ["warm", "wet", "probability warm", "probability wet"]
    for row in rows:
        assert (row["warm"] == "1") == (float(row["probability warm"]) > 0.5)
    actual = list(csv.DictReader(Path("tags.csv").read_text().splitlines()))
    right = np.mean([row[name] == one[name] for row, one in zip(rows, actual, strict=True) for name in ("warm", "wet")])
    result = json.loads(engine("evaluate", "run", "--data", "tags.csv", "--json")[1])
    assert right == result["test"]["accuracy"]
    assert (
        "it has 2 features and 2 classes; the model was trained on 2 features and 2 labels"
        in engine("evaluate", "run", "--data", "xor")[2]
    )


def test_an_official_test_part(engine, files):
    text = FLOWERS.splitlines(keepends=True)
    Path("a.csv").write_text("".join(text[:31]))
    Path("b.csv").write_text("".join([text[0], *text[31:]]))
    code, printed, _ = engine("train", "--data", "a.csv", "--test", "b.csv", "--json", *QUICK[:4], "--output", "run")
    assert code == 0
    result = json.loads(printed)
    assert json.loads(engine("evaluate", "run", "--data", "b.csv", "--json")[1])["test"] == result["test"]
    Path("c.csv").write_text("".join([text[0], "1,2,red,birch\n"]))
    code, _, said = engine("train", "--data", "a.csv", "--test", "c.csv", *QUICK, "--overwrite")
    assert code == 2
    assert "'birch'" in said


def test_sparse_columns_that_are_not_named_are_zeros(engine, here):
    """LIBSVM's text says which columns are not 0: a file without the last ones is as wide as the training's."""
    lines = [f"{label} 1:{row % 3} 3:{label}" for row, label in enumerate([1, -1] * 20)]
    Path("train.svm").write_text("\n".join(lines))
    Path("test.svm").write_text("1 1:2\n-1 2:1\n")
    assert engine("train", "--data", "train.svm", "--test", "test.svm", *QUICK)[0] == 0
    assert len(engine("predict", "run", "test.svm")[1].splitlines()) == 3
    Path("wide.svm").write_text("1 4:2\n-1 2:1\n")
    code, _, said = engine("predict", "run", "wide.svm")
    needed = "it has shape (2, 4); the model was trained on (samples, 3)"
    assert (code, said) == (2, f"engine predict: wide.svm: {needed}.\n")


REAL = {
    "uci/iris.data": (("--epochs", "60"), 0.9),
    "uci/wine.data": (("--target", "0"), 0.9),
    "uci/wdbc.data": (("--target", "1", "--ignore", "0"), 0.9),
    "uci/breast-cancer-wisconsin.data": (("--ignore", "0", "--impute", "median"), 0.9),
    "uci/optdigits.tra": (("--test", "uci/optdigits.tes"), 0.93),
    "formats/penguins.csv": (("--target", "species", "--impute", "most-frequent"), 0.95),
    "formats/agaricus.txt.train": (("--test", "formats/agaricus.txt.test", "--epochs", "2"), 0.95),
}


@pytest.mark.parametrize("path", REAL)
def test_real_sets_by_one_command(path, engine, here, real_data, monkeypatch):
    monkeypatch.chdir(real_data)
    options, bound = REAL[path]
    epochs = () if "--epochs" in options else ("--epochs", "15")
    output = here / "run"
    code, printed, said = engine(
        "train", "--data", path, *options, *epochs, "--batch-size", "16", "--output", output, "--quiet"
    )
    assert (code, said) == (0, "")
    assert float(printed.removeprefix("test accuracy ")) >= bound


def test_california(engine, here, real_data):
    """A text column and 207 empty cells: filled, it trains; not filled, the first one is named."""
    path = real_data / "uci" / "california_housing.csv"
    line = ("train", "--data", path, "--target", "median_house_value", "--output", "run")
    code, printed, said = engine(*line)
    assert (code, printed) == (2, "")
    with open(path) as file:
        first = next(number for number, row in enumerate(csv.reader(file), start=1) if "" in row)
    assert said.startswith(f"engine train: {path}, line {first}, column 'total_bedrooms': ")
    assert said.count("\n") == 1
    code, printed, said = engine(*line, "--impute", "median", "--epochs", "15", "--hidden", "64,64", "--json")
    assert (code, said) == (0, "")
    assert json.loads(printed)["test"]["r2"] >= 0.75
    names = Run.open("run").intake().names
    assert len(names) == 8 + 5
    assert "ocean_proximity=<1H OCEAN" in names


@pytest.mark.parametrize("name", ["boston_housing.data", "cal_housing.data", "cal_housing_header.csv"])
def test_real_regressions(name, engine, here, real_data):
    code, printed, said = engine(
        "train", "--data", real_data / "uci" / name, "--epochs", "4", "--json", "--output", "run"
    )
    assert (code, said) == (0, "")
    assert json.loads(printed)["test"]["r2"] > 0.4
