"""Does the command line do what it says, and answer every wrong line with one line and the right exit code?"""

import csv
import io
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import engine as en
from engine import __main__, commands, runs
from engine.callbacks import Callback
from engine.commands import build, info, keeping, parts, progress, report, task
from engine.errors import NotFiniteError
from engine.runs import Run
from engine.toml import to_toml
from engine.training_step import TrainingStep

ROOT = Path(__file__).resolve().parent.parent
TINY = ("train", "--data", "xor", "--samples", "50", "--hidden", "4", "--epochs", "2")


def process(*line, folder, **settings):
    """`python -m engine ...` in a folder, as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    environment.pop("ENGINE_DEBUG", None)
    command = [sys.executable, "-m", "engine", *line]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, **settings)


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -- the main routes, as processes ------------------------------------------------------------------------


def test_train_evaluate_predict_as_a_person_would(tmp_path):
    pytest.importorskip("sklearn")
    trained = process("train", "--data", "iris", "--epochs", "15", "--output", "runs/iris", folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr == ""
    lines = trained.stdout.splitlines()
    assert lines[0] == "data    iris: 120 training, 30 test samples, multiclass"
    assert lines[1] == "model   4-16-3, relu (131 parameters)"
    assert lines[3].startswith("device  ")
    assert sum(line.startswith("epoch ") for line in lines) == 15
    assert lines[-2] == "run folder  runs/iris"
    assert lines[-1].startswith("test accuracy 0.")
    assert "\x1b" not in trained.stdout

    folder = tmp_path / "runs" / "iris"
    wanted = {runs.CONFIG, runs.WEIGHTS, runs.HISTORY, runs.PREPARATION, runs.RESULT, runs.LOG, runs.CONFUSION}
    wanted |= {runs.CHECKPOINT}
    assert set(os.listdir(folder)) - {runs.PICTURE, runs.CONFUSION_PICTURE} == wanted
    assert (folder / runs.LOG).read_text() == "\n".join(lines[:-1]) + "\n"
    history = en.History.from_csv(folder / runs.HISTORY)
    assert len(history) == 15
    config = tomllib.loads((folder / runs.CONFIG).read_text())
    assert config["data"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert config["training"]["epochs"] == 15

    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    again = process("evaluate", "elsewhere", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == lines[-1]

    said = process("predict", "elsewhere", "iris", "--output", "p.csv", folder=tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    _, test = en.data.load("iris")
    right = np.mean([int(row["class"]) == label for row, label in zip(rows, test.y, strict=True)])
    assert lines[-1] == f"test accuracy {right:.4f}"


def test_regression_as_a_process(tmp_path):
    line = ("train", "--data", "sines", "--epochs", "3", "--quiet", "--output", "run")
    trained = process(*line, folder=tmp_path)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert trained.stdout.startswith("test loss ")
    assert len(trained.stdout.splitlines()) == 1
    assert process("evaluate", "run", "--quiet", folder=tmp_path).stdout == trained.stdout


def test_two_equal_trainings_are_equal(tmp_path):
    for name in ("a", "b"):
        process(*TINY, "--dropout", "0.3", "--quiet", "--output", name, folder=tmp_path)
    for file in (runs.WEIGHTS, runs.PREPARATION):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_info_and_version_as_processes(tmp_path):
    shown = process("info", folder=tmp_path)
    assert shown.returncode == 0
    assert "device cpu" in shown.stdout
    assert process("--version", folder=tmp_path).stdout == f"engine {en.__version__}\n"


def test_wrong_line_as_a_process(tmp_path):
    wrong = process("train", "--epochs", "0", folder=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == (
        "engine train: --epochs: '0' was given; allowed are whole numbers from 1. See engine train --help.\n"
    )
    assert everything(tmp_path) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_says_what_is_left(tmp_path, sent):
    line = [sys.executable, "-m", "engine", *TINY[:-2], "--epochs", "1000000", "--output", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    training = subprocess.Popen(
        line,
        cwd=tmp_path,
        env=environment,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),  # also where these tests run in the background
    )
    history = tmp_path / "run" / runs.HISTORY
    deadline = time.monotonic() + 30
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    training.send_signal(sent)
    try:
        _, said = training.communicate(timeout=30)
    finally:
        training.kill()
    assert training.returncode == 130
    assert said.startswith("engine train: interrupted after ")
    assert said.endswith("run holds what was done until then; engine resume run goes on.\n")
    assert said.count("\n") == 1
    assert len(en.History.from_csv(history)) >= 1
    assert (tmp_path / "run" / runs.WEIGHTS).exists()
    assert process("evaluate", "run", folder=tmp_path).returncode == 0


def test_interrupted_while_it_is_loaded(tmp_path):
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'engine.commands.parsing':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from engine.__main__ import main\n"
        "sys.exit(main(['info']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "engine: interrupted.\n")


def test_full_disk_while_training(tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    line = ("train", "--data", "xor", "--hidden", "64,64", "--epochs", "3", "--quiet", "--output", "run")
    full = process(*line, folder=tmp_path, preexec_fn=small_files)
    assert (full.returncode, full.stdout) == (1, "")
    assert full.stderr.startswith("engine train: run/weights.safetensors: could not be written: File too large")
    assert full.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path / "run")) == [runs.CONFIG, runs.HISTORY, runs.LOG, runs.PREPARATION]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_full_standard_output(tmp_path):
    with open("/dev/full", "w") as full:
        line = [sys.executable, "-m", "engine", "info"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "engine info: standard output: No space left on device.\n"


def test_bar_on_a_terminal(here):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    line = [sys.executable, "-m", "engine", "train", "--data", "xor", "--samples", "40000", "--batch-size", "2"]
    training = subprocess.Popen(
        [*line, "--epochs", "2", "--output", "run"], cwd=here, env=environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side was closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert training.wait(timeout=60) == 0
    text = seen.decode()
    assert "epoch 1/2" in text
    assert " left" in text
    assert "samples/s" in text
    assert "\x1b" not in (here / "run" / runs.LOG).read_text()


# -- wrong lines --------------------------------------------------------------------------------------------

WRONG_LINES = {
    "no command": ([], "still needed: COMMAND"),
    "unknown command": (["trian"], "command 'trian' is unknown; did you mean train?"),
    "unknown option": (["train", "--epoch", "3"], "option --epoch is unknown; did you mean --epochs"),
    "unknown short option": (["train", "-e", "3"], "option -e is unknown"),
    "stray word": (["train", "digits"], "'digits' was not expected"),
    "no value": (["train", "--epochs"], "--epochs: expected one argument"),
    "no epochs": (["train", "--epochs", "0"], "whole numbers from 1"),
    "half an epoch": (["train", "--epochs", "1.5"], "whole numbers from 1"),
    "batch size 0": (["train", "--batch-size", "0"], 'whole numbers from 1, and "all"'),
    "batch size half": (["train", "--batch-size", "half"], "--batch-size: 'half' was given"),
    "accumulate 0": (["train", "--accumulate", "0"], "--accumulate: '0' was given"),
    "negative seed": (["train", "--seed", "-1"], "whole numbers from 0"),
    "negative rate": (["train", "--learning-rate", "-0.1"], "numbers above 0"),
    "rate not a number": (["train", "--learning-rate", "nan"], "numbers above 0"),
    "infinite penalty": (["train", "--l2", "inf"], "numbers from 0"),
    "dropout 1": (["train", "--dropout", "1"], "numbers from 0 and below 1"),
    "test fraction 0": (["train", "--test-fraction", "0"], "numbers above 0 and below 1"),
    "validation 1": (["train", "--validation", "1"], "numbers from 0 and below 1"),
    "width 0": (["train", "--hidden", "8,0"], "such as 256,128"),
    "width beyond memory": (["train", "--hidden", "1000000000000"], "such as 256,128"),
    "samples beyond memory": (["train", "--samples", "1000000000000"], "whole numbers from 1 to 1000000000"),
    "width text": (["train", "--hidden", "big"], "such as 256,128"),
    "data": (["train", "--data", "digit"], "data set 'digit' is unknown; did you mean digits?"),
    "activation": (["train", "--activation", "rleu"], "activation 'rleu' is unknown; did you mean relu"),
    "initializer": (["train", "--initializer", "he"], "initializer 'he' is unknown"),
    "optimizer": (["train", "--optimizer", "adma"], "optimizer 'adma' is unknown; did you mean adam"),
    "loss": (["train", "--loss", "hing"], "loss 'hing' is unknown; did you mean hinge?"),
    "loss of embeddings": (["train", "--loss", "triplet-margin"], "loss 'triplet-margin' is unknown"),
    "schedule": (["train", "--schedule", "cosin"], "schedule 'cosin' is unknown; did you mean cosine?"),
    "precision": (["train", "--precision", "float8"], "precision 'float8' is unknown; did you mean"),
    "float16, lbfgs": (
        [*TINY, "--precision", "float16", "--optimizer", "lbfgs"],
        "LBFGS compares losses; use bfloat16",
    ),
    "device": (["train", "--device", "gpu"], "--device: 'gpu' is unknown; allowed are cpu, cuda, cuda:N and auto"),
    "device number": ([*TINY, "--device", "cuda:99"], "device cuda:99"),
    "class weight": (["train", "--class-weight", "fair"], 'allowed are "balanced" and numbers'),
    "class weights": ([*TINY, "--loss", "cross-entropy", "--class-weight", "1,2,3"], "xor has 2 classes"),
    "class weight, numbers": (["train", "--data", "sines", "--class-weight", "1"], "are numbers, not classes"),
    "class weight, hinge": (
        [*TINY, "--loss", "hinge", "--class-weight", "balanced"],
        "--class-weight: loss hinge has none",
    ),
    "hinge of numbers": (["train", "--data", "sines", "--loss", "hinge"], "it needs classes"),
    "margin of huber": (
        ["train", "--data", "sines", "--loss", "huber", "--margin", "2"],
        "--margin: loss huber has none; allowed with hinge.",
    ),
    "momentum of adam": ([*TINY, "--momentum", "0.9"], "--momentum: optimizer adam has none"),
    "nesterov alone": (
        [*TINY, "--optimizer", "sgd", "--nesterov"],
        "--nesterov: it needs momentum; give --momentum above",
    ),
    "decay of lbfgs": (
        [*TINY, "--optimizer", "lbfgs", "--weight-decay", "0.1"],
        "--weight-decay: optimizer lbfgs has none",
    ),
    "every of cosine": ([*TINY, "--schedule", "cosine", "--schedule-every", "3"], "schedule cosine has none"),
    "patience of step": ([*TINY, "--schedule", "step", "--schedule-patience", "3"], "allowed with plateau"),
    "long warm-up": ([*TINY, "--warmup", "2"], "must be shorter than the training"),
    "warm-up of one-cycle": ([*TINY, "--schedule", "one-cycle", "--warmup", "1"], "rises by itself"),
    "ema 1": (["train", "--ema", "1"], "numbers above 0 and below 1"),
    "stop below 0": (["train", "--stop-below", "0"], "numbers above 0"),
    "samples of iris": (["train", "--data", "iris", "--samples", "9"], "data iris has none; allowed with xor"),
    "too few samples": (["train", "--data", "moons", "--samples", "1"], "--samples: 1 was given with moons; allowed"),
    "batch norm of one": (
        [*TINY, "--batch-norm", "--batch-size", "1"],
        "leave one; use --drop-last or another --batch-size",
    ),
    "samples of one class": (
        ["train", "--data", "moons", "--samples", "2"],
        "none can be held out of each. More samples of each are needed.",
    ),
    "one sample": (
        ["train", "--data", "sines", "--samples", "1"],
        "sines: 1 sample cannot be split in two; more are needed.",
    ),
    "output is a file": ([*TINY, "--output", "a.csv"], "output 'a.csv' is a file"),
    "output below a file": ([*TINY, "--output", "a.csv/run"], "which is a file"),
    "output is full": ([*TINY, "--output", "full"], "exists and is not empty. Name another folder, or add --overwrite"),
    "output is full and named once": (
        [*TINY, "--output", "full"],
        "engine train: output 'full' exists and is not empty. Name another folder, or add --overwrite.\n",
    ),
    "overwrite nothing": (
        [*TINY, "--overwrite"],
        "engine train: --overwrite: it needs --output, the folder of the run",
    ),
    "clipping of lbfgs": (
        [*TINY, "--optimizer", "lbfgs", "--clip-norm", "1"],
        "--clip-norm: LBFGS does not clip. Leave",
    ),
    "summary of a run and a model": (
        ["summary", "run", "--batch-size", "3", "--json", "--hidden", "5"],
        "engine summary: --hidden: the model is that of run. Leave one of them out.\n",
    ),
    "output is a device": (
        [*TINY, "--output", "/dev/null", "--overwrite"],
        "engine train: output '/dev/null' is a file; a run needs a folder. Name another one.\n",
    ),
    "output nowhere": ([*TINY, "--output", "/proc/run"], "cannot be written"),
    "evaluate nothing": (["evaluate"], "still needed: RUN"),
    "evaluate nowhere": (["evaluate", "nowhere"], "run 'nowhere' does not exist"),
    "evaluate a file": (["evaluate", "a.csv"], "has no config.toml"),
    "evaluate no run": (["evaluate", "full"], "has no config.toml"),
    "evaluate damaged": (["evaluate", "damaged"], "config.toml is damaged"),
    "evaluate half a run": (["evaluate", "half"], "weights.safetensors is missing"),
    "evaluate other data": (["evaluate", "run", "--data", "sines"], "was trained on 2 features and 2 classes"),
    "evaluate other device": (["evaluate", "run", "--device", "cuda:99"], "device cuda:99"),
    "predict nothing": (["predict", "run"], "still needed: INPUT"),
    "predict nowhere": (["predict", "run", "nowhere.csv"], "nowhere.csv: there is no such file"),
    "predict other kind": (["predict", "run", "x.h5"], "x.h5: it seems to be an HDF5 file"),
    "predict part of a file": (["predict", "run", "a.csv", "--part", "test"], "is a file, and all of it is taken"),
    "predict other part": (["predict", "run", "xor", "--part", "half"], "part 'half' is unknown"),
    "predict empty": (["predict", "run", "empty.csv"], "empty.csv: empty; at least one sample"),
    "predict header alone": (["predict", "run", "header.csv"], "header.csv: it has nothing below its header"),
    "predict ragged": (["predict", "run", "ragged.csv"], "ragged.csv, line 2: it has 1 cell"),
    "predict text": (["predict", "run", "text.csv"], "text.csv, line 3, column 'x2': the cell is 'two'"),
    "predict gap": (["predict", "run", "gap.csv"], "gap.csv, line 2, column 1 (counted from 0): the cell is empty"),
    "predict gap at first": (
        ["predict", "run", "gap1.csv"],
        "gap1.csv, line 1, column 1 (counted from 0): the cell is",
    ),
    "predict text at first": (
        ["predict", "run", "text1.csv"],
        "text1.csv, line 1, column 1 (counted from 0): the cell is 'abc'",
    ),
    "predict text below gaps": (
        ["predict", "run", "lines.csv"],
        "lines.csv, line 6, column 'x1': the cell is 'no'",
    ),
    "predict typing error": (
        ["predict", "run", "typo.csv"],
        "typo.csv: it has no column 'x2'; name them so, or leave the header out",
    ),
    "predict other header": (["predict", "run", "other.csv"], "other.csv: it has no column 'x1', 'x2'; name"),
    "predict column twice": (["predict", "run", "twice.csv"], "twice.csv: its header has 'x1' more than once"),
    "predict decimal commas": (["predict", "run", "decimals.csv"], "decimals.csv"),
    "predict NaN": (["predict", "run", "nan.csv"], "nan.csv, line 2, column 0 (counted from 0)"),
    "predict wide": (
        ["predict", "run", "wide.csv"],
        "shape (1, 3); the model was trained on (samples, 2)",
    ),
    "predict one long cell": (["predict", "run", "long.csv"], "long.csv"),
    "predict no text": (["predict", "run", "bytes.csv"], "is no text in UTF-8"),
    "predict damaged npy": (["predict", "run", "damaged.npy"], "damaged.npy"),
    "predict short npy": (["predict", "run", "short.npy"], "short.npy: 72 bytes after the header"),
    "predict objects": (["predict", "run", "objects.npy"], "objects.npy: holds Python objects"),
    "predict texts": (["predict", "run", "texts.npy"], "texts.npy: holds elements of <U1"),
    "predict damaged npz": (["predict", "run", "damaged.npz"], "damaged.npz: damaged .npz file"),
    "predict which array": (["predict", "run", "two.npz"], "two.npz: its arrays: 'a', 'b'; allowed are x and y"),
    "predict to folder": (["predict", "run", "a.csv", "--output", "full"], "is a folder; the predictions go to a file"),
    "predict to nowhere": (["predict", "run", "a.csv", "--output", "no/p.csv"], "its folder does not exist"),
    "predict to itself": (["predict", "run", "a.csv", "--output", "a.csv"], "is the input. Name another file"),
    "summary of nothing": (["summary"], "inputs and outputs are not known"),
    "summary of nowhere": (["summary", "nowhere"], "does not exist"),
    "summary of incomplete": (["summary", "incomplete"], "config.toml, [model] has no seed"),
    "info of what": (["info", "--all"], "option --all is unknown"),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a run and with files that are wrong in every way."""
    folder = tmp_path_factory.mktemp("wrong")
    done = process(*TINY, "--quiet", "--output", "run", folder=folder)
    assert done.returncode == 0, done.stderr
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine")
    for name, config in [("damaged", "[run"), ("incomplete", "[run]\nformat = 1\n[model]\nhidden = []\n")]:
        (folder / name).mkdir()
        (folder / name / runs.CONFIG).write_text(config)
    (folder / "half").mkdir()
    (folder / "half" / runs.CONFIG).write_bytes((folder / "run" / runs.CONFIG).read_bytes())
    texts = {
        "a.csv": "1,2\n3,4\n",
        "x.h5": "\x89HDF\r\n\x1a\n",
        "empty.csv": "",
        "header.csv": "x1,x2\n",
        "ragged.csv": "1,2\n3\n",
        "text.csv": "x1,x2\n1,2\n1,two\n",
        "gap.csv": "1,2\n3,\n",
        "gap1.csv": "1,\n3,4\n",
        "text1.csv": "1,abc\n3,4\n",
        "lines.csv": "\nx2,label,x1\n1,a,2\n\n3,b,4\n5,c,no\n",
        "typo.csv": "x1,y2\n1,2\n",
        "other.csv": "w,z\n1,2\n",
        "twice.csv": "x1,x1,x2\n1,2,3\n",
        "decimals.csv": "x1;x2\n1,5;2,5\n",
        "nan.csv": "1,2\nnan,4\n",
        "wide.csv": "1,2,3\n",
        "damaged.npy": "no array",
        "long.csv": "x" * 200_000,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="latin-1", newline="")
    (folder / "bytes.csv").write_bytes(b"1,2\n3,\xff4\n")
    (folder / "damaged.npz").write_bytes(b"PK\x03\x04 and nothing more")
    np.save(folder / "objects.npy", np.array([None, {}], dtype=object), allow_pickle=True)
    np.save(folder / "texts.npy", np.array([["a", "b"]]))
    np.save(folder / "short.npy", np.zeros((50, 2)))
    with open(folder / "short.npy", "r+b") as file:
        file.truncate(200)
    np.savez(folder / "two.npz", a=np.zeros((1, 2)), b=np.zeros((1, 2)))
    return folder


@pytest.mark.parametrize(("line", "words"), WRONG_LINES.values(), ids=WRONG_LINES)
def test_wrong_line(line, words, prepared, monkeypatch, capsys):
    monkeypatch.chdir(prepared)
    monkeypatch.delenv("ENGINE_DEBUG", raising=False)
    before = everything(prepared)
    assert commands.main(line) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.startswith("engine")
    assert printed.err.endswith(".\n")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert "?." not in printed.err
    assert not re.search(r"\w=(True|False|\d)", printed.err)  # what Python is told; a command line has options
    assert len(re.findall("output '", printed.err)) <= 1
    assert printed.err.count("ame another") <= 1
    assert ".." not in printed.err.replace("...", "")
    assert everything(prepared) == before


# -- what fails while running ---------------------------------------------------------------------------------


def test_diverged_training(engine, here):
    line = ("train", "--data", "sines", "--optimizer", "sgd", "--learning-rate", "1e30", "--epochs", "3")
    code, _, said = engine(*line, "--output", "run")
    assert code == 1
    assert said.startswith("engine train: epoch ")
    assert "is not finite" in said
    assert said.endswith("Try a smaller learning rate, or --clip-norm 1.0.\n")
    assert said.count("\n") == 1
    log = (here / "run" / runs.LOG).read_text()
    assert "is not finite" in log
    assert "clip_norm" not in log


def test_failure_before_the_first_step_leaves_nothing(engine, here, monkeypatch):
    def fail(*_, **__):
        raise NotFiniteError("epoch 1, step 1: the loss is not finite.")

    monkeypatch.setattr("engine.training_step.TrainingStep._take", fail)
    code, _, said = engine(*TINY, "--quiet")
    assert (code, said) == (1, "engine train: epoch 1, step 1: the loss is not finite.\n")
    assert not (here / "runs" / "xor-1").exists()


def test_interrupted_before_the_first_step(engine, here, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.training_step.TrainingStep._take", interrupt)
    code, _, said = engine(*TINY, "--quiet", "--output", "run")
    assert (code, said) == (130, "engine train: interrupted before the first step.\n")
    assert everything(here) == []
    monkeypatch.setattr("engine.commands.train.run", interrupt)
    assert engine(*TINY)[::2] == (130, "engine train: interrupted.\n")


def test_interrupted_after_a_step(engine, here, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.commands.progress.Lines.epoch_end", interrupt)
    code, _, said = engine(*TINY, "--quiet", "--output", "run")
    assert (code, said) == (130, "engine train: interrupted after 1 epoch; run holds no weights.\n")
    assert (here / "run" / runs.LOG).read_text().endswith("interrupted after 1 epoch\n")
    assert "run was stopped before its weights were written" in engine("evaluate", "run")[2]


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_closed_streams(here, monkeypatch, closed):
    """Where standard output or error is closed (>&-), Python has none."""
    monkeypatch.setattr(f"sys.{closed}", None)
    assert commands.main([*TINY, "--output", "run"]) == 0
    assert commands.main(["evaluate", "run"]) == 0
    assert commands.main(["evaluate", "nowhere"]) == 2


def test_interrupted_while_pictures_are_drawn(engine, here, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("engine.commands.session.Session._pictures", interrupt)
        code, _, said = engine(*TINY, "--quiet", "--output", "run")
    assert (code, said) == (
        130,
        "engine train: interrupted when all was done but the pictures; run holds the result.\n",
    )
    assert engine("evaluate", "run")[0] == 0


GOES_ON = "run holds what was done until then; engine resume run goes on.\n"
ALL = ("train", "--data", "xor", "--samples", "50", "--hidden", "4", "--batch-size", "all", "--quiet")


def interrupted_in_step(number, monkeypatch, times=1):
    """From now on Ctrl-C comes in the middle of this step of every training, so many times."""
    usual, done = TrainingStep._take, set()

    def checked(taken, trainer, *rest):
        if trainer.step + 1 == number and trainer not in done:
            done.add(trainer)
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return usual(taken, trainer, *rest)

    monkeypatch.setattr(TrainingStep, "_take", checked)


@pytest.mark.parametrize("line", [(), ("--ema", "0.5"), ("--optimizer", "lbfgs")])
def test_interrupted_within_a_step_keeps_the_weights_of_that_step(engine, here, monkeypatch, line):
    assert engine(*ALL, *line, "--epochs", "3", "--output", "whole")[0] == 0
    interrupted_in_step(3, monkeypatch)
    code, _, said = engine(*ALL, *line, "--epochs", "9", "--output", "run")
    assert (code, said) == (130, f"engine train: interrupted after 2 epochs; {GOES_ON}")
    whole, kept = weights(Run.open("whole")), weights(Run.open("run"))
    assert all(np.array_equal(whole[name], kept[name]) for name in whole)
    assert len(en.History.from_csv(here / "run" / runs.HISTORY)) == 2
    assert engine("evaluate", "run")[0] == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_in_the_first_epoch(engine, here, monkeypatch):
    interrupted_in_step(2, monkeypatch)
    code, _, said = engine(*TINY, "--quiet", "--batch-size", "4", "--output", "run")
    assert (code, said) == (130, f"engine train: interrupted after 2 steps; {GOES_ON}")
    assert engine("evaluate", "run")[0] == 0


def test_interrupted_twice_stops_at_once(engine, here, monkeypatch):
    interrupted_in_step(13, monkeypatch, times=2)
    code, _, said = engine(*TINY, "--quiet", "--batch-size", "4", "--output", "run")
    assert (code, said) == (130, "engine train: interrupted after 1 epoch; run holds no weights.\n")
    monkeypatch.setattr(keeping, "_SECONDS_BETWEEN", -1.0)
    monkeypatch.setattr(keeping, "_SHARE_OF_TIME", math.inf)
    for event, place in (("batch_end", "epoch 1"), ("none", "step 12")):
        with monkeypatch.context() as patch:
            patch.setattr(keeping.Keeper, event, Callback.batch_end, raising=False)
            patch.setattr(TrainingStep, "together", lambda step: None)  # else nobody could come in between
            code, _, said = engine(*TINY, "--quiet", "--batch-size", "4", "--output", event)
        held = "what was done until then" if event == "none" else f"the weights after {place}"
        assert (code, said) == (
            130, f"engine train: interrupted after 1 epoch; {event} holds {held}; engine resume {event} goes on.\n"
        )  # fmt: skip


def test_interrupted_where_another_hand_takes_the_signal(engine, here, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt("by another")

    usual = signal.signal(signal.SIGINT, interrupt)
    try:
        interrupted_in_step(2, monkeypatch)
        assert engine(*ALL, "--epochs", "9", "--output", "run")[0] == 130
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        signal.signal(signal.SIGINT, usual)


def test_disk_full_for_the_log(engine, here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.runs.Run.log", full)
    code, _, said = engine(*TINY, "--quiet", "--output", "run")
    assert (code, said) == (1, "engine train: run: could not be written: No space left on device. Free some space.\n")
    assert everything(here) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(5, "Input/output error", "disk"), "engine info: disk: Input/output error.\n"),
        (MemoryError("Unable to allocate 8 TiB"), "out of memory: Unable to allocate 8 TiB"),
        (
            ZeroDivisionError("by\nzero"),
            "ZeroDivisionError: by zero. This should not happen; ENGINE_DEBUG=1 shows where.\n",
        ),
        (en.EngineError("history.csv: could not be written."), "engine info: history.csv: could not be written.\n"),
    ],
)
def test_other_failures_are_one_line(engine, monkeypatch, error, words):
    def fail(_):
        raise error

    monkeypatch.setattr("engine.commands.info.run", fail)
    code, _, said = engine("info")
    assert code == 1
    assert words in said
    assert said.count("\n") == 1


def test_debugging_shows_the_traceback(here, monkeypatch):
    monkeypatch.setenv("ENGINE_DEBUG", "1")
    with pytest.raises(en.DataError):
        commands.main(["evaluate", "nowhere"])


def test_warnings_are_one_line(engine, monkeypatch):
    import warnings

    def warn(_):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning("first\nsecond.", UserWarning, "file.py", 1)
        return 0

    monkeypatch.setattr("engine.commands.info.run", warn)
    assert engine("info") == (0, "", "engine info: warning: first second.\n")


# -- what the options do -----------------------------------------------------------------------------------


def trained(engine, *line):
    """The result of a tiny training with further options, and its run."""
    code, printed, said = engine(*TINY, "--output", "run", "--overwrite", "--json", *line)
    assert (code, said) == (0, "")
    return json.loads(printed), Run.open("run")


def weights(run):
    return {name: tensor.numpy() for name, tensor in build.trained_model(run).state_dict().items()}


OPTIONS = {
    "seed": ["--seed", "1"],
    "data seed": ["--data-seed", "1"],
    "test fraction": ["--test-fraction", "0.5"],
    "noise": ["--noise", "0.5"],
    "validation": ["--validation", "0.2"],
    "hidden": ["--hidden", "6"],
    "activation": ["--activation", "tanh"],
    "initializer": ["--initializer", "orthogonal"],
    "batch norm": ["--batch-norm"],
    "dropout": ["--dropout", "0.4"],
    "precision": ["--precision", "float64"],
    "loss": ["--loss", "logistic", "--seed", "3"],
    "cross-entropy": ["--loss", "cross-entropy"],
    "squared error": ["--loss", "squared-error"],
    "hinge": ["--loss", "hinge"],
    "l1": ["--l1", "0.1"],
    "l2": ["--l2", "0.1"],
    "l1 and l2": ["--l1", "0.1", "--l2", "0.2"],
    "optimizer": ["--optimizer", "rmsprop"],
    "lbfgs": ["--optimizer", "lbfgs", "--batch-size", "all"],
    "learning rate": ["--learning-rate", "0.01"],
    "weight decay": ["--weight-decay", "0.1"],
    "epochs": ["--epochs", "3"],
    "batch size": ["--batch-size", "5"],
    "all": ["--batch-size", "all"],
    "drop last": ["--batch-size", "20", "--drop-last"],
    "accumulate": ["--batch-size", "8", "--accumulate", "2"],
    "clip norm": ["--clip-norm", "0.001", "--optimizer", "sgd"],
    "clip value": ["--clip-value", "0.001", "--optimizer", "sgd"],
    "ema": ["--ema", "0.5"],
    "cosine": ["--schedule", "cosine", "--batch-size", "4"],
    "step": ["--schedule", "step", "--batch-size", "4"],
    "exponential": ["--schedule", "exponential", "--schedule-factor", "0.1", "--batch-size", "4"],
    "one-cycle": ["--schedule", "one-cycle", "--batch-size", "4"],
    "warm-up": ["--warmup", "1", "--batch-size", "4"],
}


def test_options_change_the_training(engine, here):
    """Every option does something: with it, the weights come out different, and they are still evaluated exactly."""
    _, run = trained(engine)
    plain = weights(run)
    seen = []
    for name, line in OPTIONS.items():
        result, run = trained(engine, *line)
        now = weights(run)
        same = plain.keys() == now.keys() and all(np.array_equal(plain[key], now[key]) for key in plain)
        assert not same, name
        assert all(not all(np.array_equal(one.get(key), now[key]) for key in now) for one in seen), name
        seen.append(now)
        _, printed, _ = engine("evaluate", "run", "--json")
        assert json.loads(printed)["test"] == result["test"], name


def test_balanced_classes(engine, here):
    _, run = trained(engine, "--loss", "cross-entropy", "--class-weight", "balanced", "--label-smoothing", "0.1")
    assert run.table("loss")["class_weight"] == [1.0, 1.0]
    _, run = trained(engine, "--loss", "cross-entropy", "--class-weight", "1,2")
    assert run.table("loss")["class_weight"] == [1.0, 2.0]
    data = en.data.Dataset(np.zeros((4, 1)), [0, 0, 0, 1])
    assert build.class_weight("balanced", data) == [4 / 6, 2.0]


def test_early_stopping_goes_back_to_the_best(engine, here):
    result, run = trained(
        engine,
        "--early-stopping",
        "2",
        "--epochs",
        "200",
        "--learning-rate",
        "0.1",
        "--noise",
        "1.5",
        "--validation",
        "0.3",
    )
    history = en.History.from_csv(run.path / runs.HISTORY)
    best, value = history.best("validation_loss")
    assert result["epochs"] == len(history) < 60
    assert best < result["epochs"]
    assert result["validation"]["loss"] == pytest.approx(value)
    assert "validation_loss has not become better for 2 epochs" in result["stop_reason"]


def test_stop_below(engine, here):
    result, run = trained(engine, "--stop-below", "1000")
    assert result["steps"] == 1
    assert "stopped after epoch 1: a step moved the weights by less than 1000" in (run.path / runs.LOG).read_text()


def test_plateau_lowers_the_rate(engine, here):
    line = ("--schedule", "plateau", "--schedule-patience", "0", "--schedule-factor", "0.5", "--epochs", "30")
    _, run = trained(engine, *line, "--learning-rate", "0.1", "--noise", "1.5")
    assert run.table("data")["validation"] == 0.1
    rates = en.History.from_csv(run.path / runs.HISTORY)["learning_rate"]
    assert rates[-1] < rates[0]


def test_no_hidden_layer_is_a_linear_model(engine, here):
    _, run = trained(engine, "--hidden", "none")
    assert list(weights(run)) == ["0.weight", "0.bias"]
    assert report.describe_model(run.table("model")) == "2-1"


def test_runs_are_numbered_and_overwritten_only_when_told(engine, here):
    for _ in range(2):
        assert engine(*TINY, "--quiet")[0] == 0
    assert sorted(os.listdir("runs")) == ["xor-1", "xor-2"]
    before = (here / "runs" / "xor-1" / runs.WEIGHTS).read_bytes()
    assert engine(*TINY, "--quiet", "--seed", "5", "--output", "runs/xor-1")[0] == 2
    assert (here / "runs" / "xor-1" / runs.WEIGHTS).read_bytes() == before
    assert engine(*TINY, "--quiet", "--seed", "5", "--output", "runs/xor-1", "--overwrite")[0] == 0
    assert (here / "runs" / "xor-1" / runs.WEIGHTS).read_bytes() != before


def test_bad_options_do_not_harm_the_run_that_is_there(engine, here):
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    before = (here / "run" / runs.WEIGHTS).read_bytes()
    code, _, said = engine(*TINY, "--batch-norm", "--batch-size", "1", "--output", "run", "--overwrite")
    assert code == 2
    assert "BatchNorm" in said
    assert (here / "run" / runs.WEIGHTS).read_bytes() == before


DIVERGES = ("train", "--data", "sines", "--optimizer", "sgd", "--learning-rate", "1e30", "--epochs", "3", "--quiet")


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("seconds", [10.0, -1.0])
def test_an_earlier_run_stays_where_the_new_one_fails(engine, here, monkeypatch, seconds):
    monkeypatch.setattr(keeping, "_SECONDS_BETWEEN", seconds)
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    before, listed = contents(here / "run"), everything(here)
    code, _, said = engine(*DIVERGES, "--output", "run", "--overwrite")
    assert code == 1
    assert said.endswith("is not finite; the outputs of all layers are finite.\n") or "is not finite" in said
    assert said.endswith("or --clip-norm 1.0. run is as it was.\n")
    assert (contents(here / "run"), everything(here)) == (before, listed)
    monkeypatch.setattr(Run, "save_result", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    code, _, said = engine(*TINY, "--seed", "5", "--quiet", "--output", "run", "--overwrite")
    assert (code, said) == (
        1,
        "engine train: run: could not be written: No space left on device. Free some space. run is as it was.\n",
    )
    assert (contents(here / "run"), everything(here)) == (before, listed)


def test_an_earlier_run_and_an_interruption(engine, here, monkeypatch):
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    (here / "run" / "notes.txt").write_text("mine")
    before, listed = contents(here / "run"), everything(here)
    with monkeypatch.context() as patch:
        interrupted_in_step(3, patch, times=2)
        code, _, said = engine(*ALL, "--epochs", "9", "--output", "run", "--overwrite")
    assert (code, said) == (130, "engine train: interrupted after 2 epochs; run is as it was.\n")
    assert (contents(here / "run"), everything(here)) == (before, listed)
    with monkeypatch.context() as patch:
        interrupted_in_step(3, patch)
        code, _, said = engine(*ALL, "--epochs", "9", "--output", "run", "--overwrite")
    assert (code, said) == (130, f"engine train: interrupted after 2 epochs; {GOES_ON}")
    assert Run.open("run").table("training")["epochs"] == 9
    assert (here / "run" / runs.LOG).read_text().endswith("interrupted after 2 epochs\n")
    assert len(en.History.from_csv(here / "run" / runs.HISTORY)) == 2
    assert not (here / "run" / runs.RESULT).exists()  # it would be the earlier run's
    assert (here / "run" / "notes.txt").read_text() == "mine"
    assert sorted(os.listdir("run")) == sorted(
        [runs.CONFIG, runs.CHECKPOINT, runs.HISTORY, runs.LOG, runs.PREPARATION, runs.WEIGHTS, "notes.txt"]
    )


def test_log_of_a_run_that_replaced_another(engine, here):
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    first = (here / "run" / runs.LOG).read_text().splitlines()
    assert engine(*TINY, "--quiet", "--output", "run", "--overwrite")[0] == 0
    second = (here / "run" / runs.LOG).read_text().splitlines()
    assert len(second) == len(first)
    assert second[0].startswith("data ")
    assert second[-1] == "run folder  run"


def test_two_trainings_that_start_at_once_get_two_folders(engine, here, monkeypatch):
    given = iter(["xor-1", "xor-1", "xor-2"])
    monkeypatch.setattr(runs, "next_free", lambda parent, name: Path(parent) / next(given))
    assert engine(*TINY, "--quiet")[0] == 0
    assert engine(*TINY, "--quiet")[0] == 0
    assert sorted(os.listdir("runs")) == ["xor-1", "xor-2"]


def test_default_folder_that_cannot_be_made(engine, here):
    (here / "runs").write_text("a file")
    code, _, said = engine(*TINY, "--quiet")
    assert code == 2
    assert "which is a file" in said


def test_weights_are_kept_while_training_goes_on(engine, here, monkeypatch):
    monkeypatch.setattr(keeping, "_SECONDS_BETWEEN", -1.0)
    monkeypatch.setattr(keeping, "_SHARE_OF_TIME", math.inf)
    kept = []
    monkeypatch.setattr(Run, "save_weights", lambda run, model, **metadata: kept.append(tuple(metadata.values())))
    assert engine(*TINY, "--batch-size", "20", "--quiet")[0] == 0
    assert kept == [(0, 1), (0, 2), (1, 2), (1, 3), (1, 4), (2, 4)]


def test_picture(engine, here, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("engine.commands.session.importlib.util.find_spec", lambda name: object())
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    assert (here / "run" / runs.PICTURE).read_bytes().startswith(b"\x89PNG")

    def broken(*_):
        raise ImportError("matplotlib is broken")

    monkeypatch.setattr(en.History, "plot", broken)
    _, printed, _ = engine(*TINY, "--output", "other")
    assert "history.png was not drawn: matplotlib is broken" in printed


def test_json_is_the_only_output(engine, here):
    code, printed, said = engine(*TINY, "--json")
    result = json.loads(printed)
    assert (code, said) == (0, "")
    assert result["run"] == "runs/xor-1"
    assert result == json.loads((here / "runs" / "xor-1" / runs.RESULT).read_text())
    assert set(result) == {
        "data", "run", "started", "seed", "device", "epochs", "steps", "seconds", "parameters", "stop_reason",
        "training", "test", "confusion", "versions", "skipped", "precision",
    }  # fmt: skip


def test_device_line(engine, here, monkeypatch):
    _, printed, _ = engine(*TINY, "--device", "cpu")
    assert "device  cpu\n" in printed
    monkeypatch.setattr("backends.cupy_backend.problem", lambda: "no driver was found (nothing). Install it.")
    _, printed, _ = engine(*TINY, "--device", "auto")
    assert "device  cpu (no CUDA: no driver was found (nothing))\n" in printed


# -- evaluate, predict, summary, info -------------------------------------------------------------------------


def test_evaluate_on_other_data_prepares_it_as_the_run(engine, here):
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    code, printed, _ = engine("evaluate", "run", "--data", "moons")
    assert code == 0
    assert "data    moons: 80 test samples, binary" in printed
    # As if the run's training part had been scaled by 1/2.
    stored = json.loads((here / "run" / runs.PREPARATION).read_text())
    (here / "run" / runs.PREPARATION).write_text(json.dumps({**stored, "features": [en.data.Scale(0.5).to_dict()]}))
    run = Run.open("run")
    _, moons = en.data.load("moons", samples=400)
    np.testing.assert_array_equal(parts.of_run(run, "moons", None).x, moons.x / 2)
    assert parts.of_run(run, "moons", "train").x.shape == (320, 2)


@pytest.mark.parametrize(
    "loss", ["cross-entropy", "binary-cross-entropy", "hinge", "logistic", "squared-error", "huber"]
)
def test_predictions_agree_with_evaluate(engine, here, loss):
    result, _ = trained(engine, "--loss", loss, "--epochs", "10")
    for part in ("test", "train"):
        code, printed, _ = engine("predict", "run", "xor", "--part", part)
        assert code == 0
        rows = list(csv.reader(printed.splitlines()))
        kind = "score" if loss in ("hinge", "squared-error", "huber") else "probability"
        assert rows[0] == ["class", "name", f"{kind} same sign", f"{kind} other sign"]
        data = en.data.load("xor", samples=50)[part == "test"]
        right = np.mean([int(row[0]) == label for row, label in zip(rows[1:], data.y, strict=True)])
        assert right == pytest.approx(result["test" if part == "test" else "training"]["accuracy"])
        assert {row[1] for row in rows[1:]} <= {"same sign", "other sign"}
        for row in rows[1:]:
            numbers = [float(cell) for cell in row[2:]]
            assert numbers.index(max(numbers)) == int(row[0])
            if kind == "probability":
                assert sum(numbers) == pytest.approx(1.0, abs=1e-6)


def test_predict_files_of_every_kind(engine, here):
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    _, test = en.data.load("xor", samples=50)
    _, wanted, _ = engine("predict", "run", "xor")
    np.save("x.npy", test.x)
    np.savez("x.npz", x=test.x, y=test.y)
    np.savez("one.npz", anything=test.x)
    rows = [",".join(repr(float(value)) for value in row) for row in test.x]
    Path("plain.csv").write_text("\n".join(rows))  # no end of line at the end
    Path("named.csv").write_text("\ufeffx1,x2\r\n" + "\r\n".join(rows) + "\r\n")
    swapped = [f'{label},"{row.split(",")[1]}",{row.split(",")[0]}' for row, label in zip(rows, test.y, strict=True)]
    Path("swapped.csv").write_text("\n".join(["label,x2,x1", *swapped]) + "\n")
    for name in ("x.npy", "x.npz", "one.npz", "plain.csv", "named.csv", "swapped.csv"):
        code, printed, said = engine("predict", "run", name)
        assert (code, said) == (0, ""), name
        assert printed == wanted, name


def test_predict_regression_in_the_unit_of_the_data(engine, here):
    pytest.importorskip("sklearn")
    line = ("train", "--data", "diabetes", "--epochs", "5", "--json", "--output", "run")
    result = json.loads(engine(*line)[1])
    code, printed, _ = engine("predict", "run", "diabetes", "--output", "p.csv")
    assert (code, printed) == (0, "")
    rows = list(csv.reader(Path("p.csv").read_text().splitlines()))
    assert rows[0] == ["value"]
    _, test = en.data.load("diabetes")
    actual = test.target_preparation.undo(test.y, np.float64)
    error = np.abs(np.array([[float(row[0])] for row in rows[1:]]) - actual).mean()
    assert error == pytest.approx(result["test"]["mae"] * float(test.target_preparation.scale[0]), rel=1e-5)


def test_files_are_prepared_as_the_training_data_was(engine, here):
    sklearn = pytest.importorskip("sklearn.datasets")
    assert engine("train", "--data", "wine", "--epochs", "3", "--quiet", "--output", "run")[0] == 0
    raw = sklearn.load_wine()
    np.savetxt("wine.csv", raw.data, delimiter=",", header=",".join(raw.feature_names), comments="", fmt="%.17g")
    _, printed, _ = engine("predict", "run", "wine.csv")
    predicted = np.array([int(row["class"]) for row in csv.DictReader(printed.splitlines())])
    train, test = en.data.load("wine")
    known = {}
    for part, name in ((train, "train"), (test, "test")):
        _, printed, _ = engine("predict", "run", "wine", "--part", name)
        for sample, row in zip(part.x, csv.DictReader(printed.splitlines()), strict=True):
            known[sample.tobytes()] = int(row["class"])
    scaled = train.preparation[0](raw.data)
    assert predicted.tolist() == [known[sample.tobytes()] for sample in scaled]


def test_samples_with_axes(here):
    table = {
        "inputs": [3, 4], "hidden": [5], "outputs": 2, "activation": "relu", "initializer": "auto",
        "batch_norm": False, "dropout": 0.0, "precision": "float32", "seed": 0,
    }  # fmt: skip
    assert build.model(table)(en.tensor(np.zeros((3, 3, 4), np.float32))).shape == (3, 2)
    assert report.describe_model(table) == "12-5-2, relu"
    full = {**table, "batch_norm": True, "dropout": 0.5, "precision": "float64"}
    assert report.describe_model(full) == "12-5-2, relu, batch norm, dropout 0.5, float64"


def test_summary(engine, here):
    assert engine(*TINY, "--quiet", "--output", "run")[0] == 0
    for line in (["run"], ["--data", "xor", "--hidden", "4"], ["--inputs", "2", "--outputs", "1", "--hidden", "4"]):
        code, printed, _ = engine("summary", *line)
        assert code == 0
        assert "Linear" in printed
        assert "17" in printed  # 2 * 4 + 4 + 4 + 1 parameters
    assert "(batch, 32)" in engine("summary", "--data", "xor", "--outputs", "7")[1]


DAMAGE = {
    "model": {
        "hidden": ["x", [0], 4, [4.5]],
        "activation": [1, "rleu"],
        "initializer": [[], "he"],
        "batch_norm": [1, "yes"],
        "dropout": ["x", 2.0],
        "precision": ["float8", 32],
        "inputs": [[], 2, ["x"]],
        "outputs": ["x", 0, True, 1.0],
        "seed": [-1, "x"],
    },
    "data": {
        "name": [3, "digit"],
        "seed": ["x"],
        "test_fraction": ["x", 2.0],
        "samples": ["x", 0],
        "task": [1],
        "classes": [3, [1, 2]],
    },
    "loss": {"name": [1, "hing"], "margin": ["x", 1.0], "label_smoothing": ["x"]},
}


@pytest.mark.parametrize(
    ("table", "setting", "value"),
    [(table, setting, value) for table, of in DAMAGE.items() for setting, values in of.items() for value in values],
)
def test_damaged_settings_are_told_by_file_and_name(prepared, table, setting, value, tmp_path, monkeypatch, capsys):
    shutil.copytree(prepared / "run", tmp_path / "run")
    file = tmp_path / "run" / runs.CONFIG
    config = tomllib.loads(file.read_text())
    config[table][setting] = value
    file.write_text(to_toml(config))
    monkeypatch.chdir(tmp_path)
    code = commands.main(["evaluate", "run", "--quiet"])
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(f"engine evaluate: run/config.toml, [{table}]: ")
    assert said.count("\n") == 1
    assert repr(value) in said or str(value) in said or setting in said
    if table != "data":
        Path("x.csv").write_text("1,2\n")
        assert commands.main(["predict", "run", "x.csv"]) == 2
        assert f"run/config.toml, [{table}]: " in capsys.readouterr().err
    if table == "model":
        assert commands.main(["summary", "run"]) == 2
        assert "run/config.toml, [model]: " in capsys.readouterr().err


def test_weights_of_another_model(prepared, tmp_path, monkeypatch, capsys):
    shutil.copytree(prepared / "run", tmp_path / "run")
    file = tmp_path / "run" / runs.CONFIG
    file.write_text(file.read_text().replace("hidden = [4]", "hidden = [5]"))
    monkeypatch.chdir(tmp_path)
    assert commands.main(["evaluate", "run"]) == 2
    assert "run/weights.safetensors: these are not weights of the model in config.toml: " in capsys.readouterr().err


def test_info(engine, monkeypatch):
    from backends.kernels.activation import ReLU

    monkeypatch.setattr("backends.cupy_backend.problem", lambda: "no driver. Install it.")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    facts = json.loads(engine("info", "--json")[1])
    assert facts["versions"]["engine"] == en.__version__
    assert facts["device cuda"] == {"not usable": "no driver. Install it."}
    assert "OMP_NUM_THREADS=2" in facts["device cpu"]["threads"]
    assert "BLAS" in facts["device cpu"]
    assert facts["folders"]["cache"].endswith("chalkgrad")
    assert "  not usable  no driver. Install it.\n" in engine("info")[1]
    monkeypatch.setattr("backends.cupy_backend.problem", lambda: None)
    monkeypatch.setattr("backends.devices", lambda: ["cpu"])
    monkeypatch.setattr(en.tensor(1.0).backend, "overrides", {ReLU.forward: ReLU.forward})
    facts = info.gather()
    assert "device cuda" not in facts
    assert facts["device cpu"]["kernels"].endswith(", and its own for ReLU")
    assert info._installed("no-such-distribution") == "not installed"


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        *(
            [name, "--help"]
            for name in ("train", "resume", "evaluate", "predict", "summary", "profile", "info", "complete")
        ),
    ],
)
def test_help(engine, line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, printed, said = engine(*line)
    assert (code, said) == (0, "")
    assert "examples:" in printed
    told, examples = printed.split("examples:")
    assert max(map(len, told.split("to install it:")[0].splitlines())) < 80
    assert max(map(len, examples.splitlines())) < 100
    if "train" in line:
        assert re.search(r"\n  --schedule NAME +constant, cosine", printed)
        assert "(default: 0)" in printed
        assert "defaults by data set" in printed


def test_reader_that_has_seen_enough(engine, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

        flush = write

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Closed())
        patch.setattr(Closed, "flush", lambda self: self.write(""))
        assert commands.main(["info", "--json"]) == 1
    assert engine("info", "--json")[0] == 0


def test_help_loads_no_terminal_toolkit(tmp_path):
    program = (
        "import sys, engine.commands; engine.commands.main(['train', '--help']); "
        "print([name for name in ('rich', 'matplotlib', 'sklearn', 'cupy', 'safetensors') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


# -- parts ----------------------------------------------------------------------------------------------------


def test_targets_of_each_loss():
    data = en.data.Dataset(np.zeros((3, 1)), [0, 1, 1])
    assert task.targets("cross-entropy", data, "float32").tolist() == [0, 1, 1]
    assert task.targets("binary-cross-entropy", data, "float32").tolist() == [[0], [1], [1]]
    assert task.targets("logistic", data, "float64").tolist() == [[-1], [1], [1]]
    many = en.data.Dataset(np.zeros((3, 1)), [0, 2, 1])
    assert task.targets("squared-error", many, "float32").tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert task.targets("logistic", many, "float32").tolist() == [[1, -1, -1], [-1, -1, 1], [-1, 1, -1]]
    values = en.data.Dataset(np.zeros((3, 1)), [0.5, 1.5, 2.5])
    assert task.targets("huber", values, "float32").shape == (3, 1)
    assert [task.outputs("huber", data) for data in (data, many, values)] == [1, 3, 1]
    pairs = en.data.Dataset(np.zeros((3, 1)), np.zeros((3, 2)))
    assert task.outputs("mean-squared-error", pairs) == 2


def test_probabilities_of_large_logits():
    found = task.said("binary-cross-entropy", np.array([[1e4], [-1e4]]))
    assert found.numbers.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    found = task.said("cross-entropy", np.array([[1e4, 0.0, -1e4]]))
    assert found.numbers.tolist() == [[1.0, 0.0, 0.0]]


def test_bar_in_this_process(engine, here, monkeypatch):
    monkeypatch.setattr(report.Output, "live", True)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.0)
    code, printed, _ = engine(*TINY, "--output", "run")
    assert code == 0
    assert "epoch 2/2" in printed
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 1e9)
    assert engine(*TINY, "--output", "other")[0] == 0


def test_module_and_script_run_the_same(capsys):
    assert __main__.main(["--version"]) == 0
    assert capsys.readouterr().out == f"engine {en.__version__}\n"


def test_terminals_are_known(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes standard output for a terminal
    assert report.Output(quiet=False).live
    assert not report.Output(quiet=True).live


def test_bar_that_never_began():
    progress.Bar(report.Output(quiet=True), 1, 1).fit_end(None)


def test_numbers_and_times_for_people():
    assert [report.number(value) for value in (0.5, 0.0, 1e-9, 2e7, -0.01)] == [
        "0.5000",
        "0.0000",
        "1e-09",
        "2e+07",
        "-0.0100",
    ]
    assert report.number(float("nan")) == "nan"
    assert [report.duration(seconds) for seconds in (0.04, 59, 61, 7261)] == [
        "0.0 s",
        "59.0 s",
        "1:01 min",
        "2:01:01 h",
    ]
