"""Does a training that was stopped, at any moment, end as one that never was, and is what cannot go on refused?"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import engine as en
from engine import checkpoint, commands, locking, runs
from engine.commands import keeping, progress, report
from engine.toml import to_toml
from engine.training_step import TrainingStep

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("train", "--data", "moons", "--samples", "60", "--hidden", "6", "--batch-size", "10", "--epochs", "4")


@pytest.fixture
def stopped(engine, monkeypatch):
    """Run a command line that is interrupted in the middle of this step: what it says."""

    def call(step, *line, times=1):
        usual, came = TrainingStep._take, []

        def checked(taken, trainer, *rest):
            if trainer.step + 1 == step and not came:
                for _ in range(times):
                    came.append(step)
                    signal.raise_signal(signal.SIGINT)
            return usual(taken, trainer, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingStep, "_take", checked)
            code, _, said = engine(*line, "--quiet")
        assert code == 130
        return said

    return call


@pytest.fixture
def always(monkeypatch):
    """Weights and checkpoint are written after every step."""
    monkeypatch.setattr(keeping, "_SECONDS_BETWEEN", -1.0)
    monkeypatch.setattr(keeping, "_SHARE_OF_TIME", float("inf"))


def outcome(folder):
    """All that a training leaves behind but times and names."""
    folder = Path(folder)
    assert not list(folder.glob(".*"))
    result = json.loads((folder / runs.RESULT).read_text())
    history = en.History.from_csv(folder / runs.HISTORY).state()["columns"]
    tensors, state = checkpoint.load_state(folder / runs.CHECKPOINT)
    weights, of_weights = checkpoint.load_state(folder / runs.WEIGHTS)
    for one, key in ((result, "run"), (result, "started"), (result, "seconds"), (history, "seconds")):
        del one[key]
    del state["history"]["columns"]["seconds"]
    arrays = [
        {name: (one.dtype.str, one.shape, one.tobytes()) for name, one in file.items()} for file in (weights, tensors)
    ]
    return arrays, of_weights, state, history, result


SGD = ("--optimizer", "sgd", "--learning-rate", "0.1", "--momentum", "0.9")
# Options, and the steps in which it is interrupted: 5 steps are an epoch, or 3 where two batches are accumulated.
LINES = {
    "sgd": ((*SGD, "--nesterov", "--schedule", "step", "--weight-decay", "1e-3"), (3, 14)),
    "adagrad": (("--optimizer", "adagrad", "--schedule", "exponential"), (5, 6)),
    "rmsprop": (("--optimizer", "rmsprop", "--momentum", "0.5", "--schedule", "one-cycle"), (1, 19)),
    "adam": (("--schedule", "cosine", "--warmup", "1.5", "--clip-norm", "0.5"), (2, 12)),
    "adamw": (("--optimizer", "adamw", "--accumulate", "2", "--ema", "0.9"), (2, 8)),
    "nadam": (("--optimizer", "nadam", "--precision", "float64", "--clip-value", "0.1", "--seed", "3"), (7, 8)),
    "lion": (("--optimizer", "lion", "--drop-last", "--samples", "57", "--validation", "0.2"), (4, 11)),
    "lbfgs": (("--optimizer", "lbfgs", "--l2", "1e-3", "--learning-rate", "0.1"), (6, 13)),
    "thinned": (
        ("--dropout", "0.3", "--batch-norm", "--hidden", "6,6,6", "--stochastic-depth", "0.3", "--ema", "0.5"),
        (3, 13),
    ),
    "early stopping": ((*SGD, "--learning-rate", "3", "--early-stopping", "2", "--epochs", "30"), (7, 13)),
    "plateau": (("--schedule", "plateau", "--schedule-patience", "0", "--learning-rate", "0.3"), (4, 13)),
    "step below": ((*SGD, "--momentum", "0", "--stop-below", "1e-2", "--epochs", "50"), (2, 6)),
    "all at once": (("--batch-size", "all", "--loss", "hinge", "--l1", "1e-3", "--epochs", "9"), (2, 8)),
    "regression": (("--data", "sines", "--loss", "huber", "--dropout", "0.1"), (9, 10)),
    "augmented": (("--augment", "noise:0.1"), (9, 10)),
}


@pytest.mark.parametrize("name", LINES)
def test_an_interrupted_training_ends_as_one_that_was_not(name, engine, stopped):
    options, (first, second) = LINES[name]
    assert engine(*SMALL, *options, "--output", "whole", "--quiet")[0] == 0
    said = stopped(first, *SMALL, *options, "--output", "run")
    assert said.endswith("run holds what was done until then; engine resume run goes on.\n")
    assert not Path("run", runs.RESULT).exists()
    assert stopped(second, "resume", "run").startswith("engine resume: interrupted after ")
    code, printed, said = engine("resume", "run", "--quiet")
    assert (code, said) == (0, "")
    assert outcome("run") == outcome("whole")
    assert printed == report.last_line(json.loads(Path("run", runs.RESULT).read_text())["test"]) + "\n"
    log = Path("run", runs.LOG).read_text()
    assert log.count("interrupted after") == log.count("resumed after epoch") == 2


# -- killed -----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from engine import commands
from engine.commands import keeping
from engine.training_step import TrainingStep

step, seconds, usual = int(sys.argv[1]), float(sys.argv[2]), TrainingStep._take
keeping._SECONDS_BETWEEN, keeping._SHARE_OF_TIME = seconds, float("inf")

def checked(taken, trainer, *rest):
    if trainer.step + 1 == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(taken, trainer, *rest)

TrainingStep._take = checked
commands.main(sys.argv[3:])
"""


def begin(*line, step=0, seconds=-1.0):
    """A process that writes a checkpoint so often, and kills itself in the middle of this step."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-c", KILLED, str(step), str(seconds), *line]
    return subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(*line, **when):
    assert begin(*line, **when).wait(60) == -signal.SIGKILL


def test_a_training_that_kills_itself_in_a_step_goes_on_from_its_last_checkpoint(engine):
    options = ("--dropout", "0.2", "--ema", "0.9", "--batch-norm")
    assert engine(*SMALL, *options, "--output", "whole", "--quiet")[0] == 0
    kill(*SMALL, *options, "--output", "run", step=8)
    assert len(en.History.from_csv(Path("run", runs.HISTORY))) == 1
    kill("resume", "run", step=13, seconds=1e9)  # nothing is kept: epoch 2 is done again
    assert len(en.History.from_csv(Path("run", runs.HISTORY))) == 2
    assert engine("resume", "run", "--quiet")[0] == 0
    assert outcome("run") == outcome("whole")


def test_a_training_that_is_killed_at_any_moment_goes_on(engine):
    line = (*SMALL[:-1], "150", "--early-stopping", "200", "--ema", "0.9", "--schedule", "cosine")
    assert engine(*line, "--output", "whole", "--quiet")[0] == 0
    chance, steps = np.random.default_rng(0), [0]
    for command in ((*line, "--output", "run"), ("resume", "run"), ("resume", "run")):
        before = Path("run", runs.CHECKPOINT).stat().st_mtime_ns if steps[-1] else 0
        training = begin(*command)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and training.poll() is None:
            if Path("run", runs.CHECKPOINT).exists() and Path("run", runs.CHECKPOINT).stat().st_mtime_ns != before:
                break
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.2))
        training.kill()
        training.wait(30)
        _, state = checkpoint.load_state(Path("run", runs.CHECKPOINT))
        steps.append(state["position"]["step"])
    assert steps == sorted(set(steps))  # each came further than the one before
    assert engine("resume", "run", "--quiet")[0] == 0
    assert outcome("run") == outcome("whole")


def test_killed_before_the_first_checkpoint(engine):
    kill(*SMALL, "--output", "run", step=3, seconds=1e9)
    code, _, said = engine("resume", "run")
    assert (code, said) == (
        2,
        "engine resume: run/checkpoint.safetensors is missing: the run was stopped before its first checkpoint, or is "
        "of an older version. Train again.\n",
    )
    assert engine(*SMALL, "--output", "run", "--overwrite", "--quiet")[0] == 0
    assert not Path("run", runs.UNFINISHED).exists()
    assert not Path("run", locking.NAME).exists()


def test_killed_while_it_was_to_replace_another(engine):
    other = (*SMALL, "--seed", "7")
    assert engine(*SMALL, "--output", "run", "--quiet")[0] == 0
    assert engine(*other, "--output", "whole", "--quiet")[0] == 0
    before = outcome("run")
    kill(*other, "--output", "run", "--overwrite", step=8)
    code, _, said = engine("resume", "run")
    assert (code, said) == (
        2,
        "engine resume: run 'run' is over: 4 of 4 epochs. Add --epochs N to go on to a larger total. Or go on with the "
        "one that was to replace it: engine resume run/.unfinished.\n",
    )
    assert engine("resume", "run/.unfinished", "--epochs", "1")[0] == 2
    assert Path("run", runs.UNFINISHED, runs.CHECKPOINT).exists()
    shutil.copytree("run", "kept", ignore=shutil.ignore_patterns(runs.UNFINISHED, locking.NAME))
    assert outcome("kept") == before
    assert engine("resume", "run/.unfinished", "--quiet")[0] == 0
    assert outcome("run") == outcome("whole")


def test_what_was_killed_while_it_replaced_another_is_itself_replaced(engine):
    assert engine(*SMALL, "--output", "run/.unfinished", "--quiet")[0] == 0
    assert engine(*SMALL, "--output", "run", "--overwrite", "--quiet")[0] == 0
    assert set(os.listdir("run")) == set(runs.FILES) - {runs.PICTURE, runs.CONFUSION_PICTURE}


def test_the_result_is_the_last_of_the_numbers(engine, monkeypatch):
    """Where it is there, nothing is left to do but pictures."""
    monkeypatch.setattr(runs.Run, "save_result", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert engine(*SMALL, "--output", "run", "--quiet")[0] == 130
    assert {runs.WEIGHTS, runs.CHECKPOINT, runs.HISTORY, runs.CONFUSION} <= set(os.listdir("run"))


def test_killed_between_the_last_step_and_the_result(engine):
    assert engine(*SMALL, "--early-stopping", "2", "--output", "whole", "--quiet")[0] == 0
    shutil.copytree("whole", "run")
    for name in (runs.RESULT, runs.WEIGHTS):
        Path("run", name).unlink()
    assert engine("resume", "run", "--quiet")[0] == 0
    assert outcome("run") == outcome("whole")


# -- two at once ------------------------------------------------------------------------------------------


def test_the_second_of_two_processes_is_refused(engine, here):
    line = (*SMALL[:-1], "1000000", "--output", "run", "--quiet")
    training = begin(*line, seconds=0.05)
    try:
        while not Path("run", runs.CHECKPOINT).exists() and training.poll() is None:
            time.sleep(0.01)
        busy = f"is being written by process {training.pid}, a training. Wait until it is over, or stop it.\n"
        assert engine("resume", "run")[::2] == (2, f"engine resume: run 'run' {busy}")
        for options in ((), ("--overwrite",)):
            assert engine(*SMALL, "--output", "run", *options)[::2] == (2, f"engine train: output 'run' {busy}")
        assert engine("evaluate", "run")[0] == 0  # reading is free
        assert training.poll() is None
    finally:
        training.kill()
        training.wait(30)
    assert Path("run", locking.NAME).exists()  # it holds nobody up
    assert engine("resume", "run", "--epochs", "10")[0] == 2  # far more are done
    stopped_at = checkpoint.load_state(Path("run", runs.CHECKPOINT))[1]["position"]["epoch"]
    assert engine("resume", "run", "--epochs", stopped_at + 2, "--quiet")[0] == 0
    assert set(os.listdir("run")) == set(runs.FILES) - {runs.PICTURE, runs.CONFUSION_PICTURE}


# -- more epochs ------------------------------------------------------------------------------------------


def test_a_moved_run_goes_on_to_a_new_total(engine):
    assert engine(*SMALL, "--output", "whole", "--quiet", "--epochs", "7")[0] == 0
    assert engine(*SMALL, "--output", "runs/run", "--quiet")[0] == 0
    os.makedirs("elsewhere")
    shutil.move("runs/run", "elsewhere/moved")
    code, printed, _ = engine("resume", "elsewhere/moved", "--epochs", "7", "--json", "--device", "cpu")
    assert code == 0
    assert json.loads(printed)["epochs"] == 7
    assert outcome("elsewhere/moved") == outcome("whole")
    assert runs.Run.open("elsewhere/moved").table("training")["epochs"] == 7


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_a_new_total_spans_the_rate_anew(schedule, engine):
    line = (*SMALL, "--schedule", schedule, "--learning-rate", "0.1")
    assert engine(*line, "--output", "whole", "--quiet", "--epochs", "8")[0] == 0
    assert engine(*line, "--output", "run", "--quiet")[0] == 0
    rates = en.History.from_csv("run/history.csv")["learning_rate"]
    assert engine("resume", "run", "--epochs", "8", "--quiet")[0] == 0
    further = en.History.from_csv("run/history.csv")["learning_rate"]
    assert further[:4] == rates
    assert further[4:] == en.History.from_csv("whole/history.csv")["learning_rate"][4:]


def test_a_plateau_keeps_its_rate_with_a_new_total(engine):
    line = (*SMALL, "--schedule", "plateau", "--schedule-patience", "0", "--learning-rate", "0.3")
    assert engine(*line, "--output", "whole", "--quiet", "--epochs", "8")[0] == 0
    assert engine(*line, "--output", "run", "--quiet")[0] == 0
    assert engine("resume", "run", "--epochs", "8", "--quiet")[0] == 0
    assert en.History.from_csv("whole/history.csv")["learning_rate"][-1] < 0.3
    assert outcome("run") == outcome("whole")


def test_after_early_stopping_patience_counts_anew(engine):
    line = (*SMALL, *SGD, "--learning-rate", "3", "--early-stopping", "2", "--epochs", "30", "--output", "run")
    assert engine(*line, "--quiet")[0] == 0
    before = json.loads(Path("run", runs.RESULT).read_text())
    done = before["epochs"]
    assert before["stop_reason"] is not None
    code, _, said = engine("resume", "run")
    assert (code, said) == (
        2,
        f"engine resume: run 'run' was stopped after epoch {done}: validation_loss has not become better for 2 epochs. "
        "Add --epochs N to go on to a larger total.\n",
    )
    assert json.loads(Path("run", runs.RESULT).read_text()) == before
    assert engine("resume", "run", "--epochs", "30", "--quiet")[0] == 0
    assert json.loads(Path("run", runs.RESULT).read_text())["epochs"] >= done + 2


def test_a_resumed_training_that_fails_or_makes_no_step_keeps_the_run(engine, stopped, monkeypatch):
    assert engine(*SMALL, "--output", "run", "--quiet")[0] == 0
    before = outcome("run")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "_take", interrupt)
        code, _, said = engine("resume", "run", "--epochs", "6", "--quiet")
    assert (code, said) == (130, "engine resume: interrupted before a further step.\n")
    assert outcome("run") == before
    said = stopped(23, "resume", "run", times=2)  # at once, within a step
    assert said == "engine resume: interrupted after 4 epochs; run is as it was.\n"
    assert outcome("run") == before
    assert engine("resume", "run", "--quiet")[0] == 0


# -- what cannot go on ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two epochs that was interrupted in the third."""
    folder = tmp_path_factory.mktemp("resume") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.commands.session.importlib.util.find_spec", lambda name: None)
        assert commands.main([*SMALL, "--epochs", "2", "--output", str(folder), "--quiet"]) == 0
    settings = runs.Run.open(folder).config
    settings["training"]["epochs"] = 4
    (folder / runs.CONFIG).write_text(to_toml(settings))
    (folder / runs.RESULT).unlink()
    return folder


DAMAGED = [
    ("parts", "train", 47, "data moons: it has 48 train, 12 test samples, and had 47 train, 12 test when run was"),
    ("data", "samples", 70, "data moons: it has 56 train, 14 test samples, and had 48 train, 12 test when run was"),
    ("data", "classes", ["lower", "upper"], "data moons: its classes are others than when run was begun"),
    ("data", "noise", 0.25, "data moons: its numbers are others than when run was begun"),
    ("data", "name", "circle", "data circle: its classes are others than when run was begun"),
    ("data", "name", "trees", "run/config.toml, [data]: "),
    ("training", "epochs", "many", "run/config.toml, [training]: epochs is 'many'; it must be a whole number from 1"),
    ("training", "batch_size", 0, '[training]: batch_size is 0; it must be a whole number from 1, or "all"'),
    ("training", "epochs", None, "config.toml, [training] has no epochs; it is not a whole run"),
    ("optimizer", "name", "sgd", "not a checkpoint of the training in config.toml: load_state_dict: the state is of"),
    ("optimizer", "name", "best", "run/config.toml: "),
    ("optimizer", "learning_rate", "fast", "run/config.toml, [optimizer]: learning_rate is 'fast'; it must be a num"),
    ("optimizer", None, None, "has no table [optimizer]"),
    ("parts", None, None, "has no table [parts]"),
    ("schedule", "name", "linear", "run/config.toml, [schedule]: name is 'linear'; it must be one of constant, "),
    ("model", "hidden", [7], "not a checkpoint of the training in config.toml"),
    ("model", "dropout", 0.5, "not a checkpoint of the training in config.toml"),
    ("training", "ema", 0.5, "not a checkpoint of the training in config.toml"),
    ("training", "device", "cuda:99", "engine resume: "),
    ("training", "patience", 3, "run/config.toml, [training]: setting 'patience' is unknown; "),
    ("training", "augment", "spin", "run/config.toml: augmentation 'spin' is unknown"),
]


@pytest.mark.parametrize(("table", "setting", "value", "words"), DAMAGED)
def test_a_run_that_does_not_fit_is_told_in_one_line(table, setting, value, words, trained, engine):
    shutil.copytree(trained, "run")
    settings = runs.Run.open("run").config
    if setting is None:
        del settings[table]
    else:
        settings[table][setting] = value
    Path("run", runs.CONFIG).write_text(to_toml(settings))
    before = {path: path.read_bytes() for path in Path("run").rglob("*")}
    code, printed, said = engine("resume", "run")
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert said.startswith("engine resume: ")
    assert words in said
    assert {path: path.read_bytes() for path in Path("run").rglob("*")} == before


def test_settings_written_by_hand_go_on(trained, engine):
    """Without when and by which version, and without what has a default of its own."""
    shutil.copytree(trained, "run")
    assert engine("resume", "run", "--quiet")[0] == 0
    shutil.copytree(trained, "other")
    settings = runs.Run.open("other").config
    settings["run"] = {"format": runs.FORMAT}
    for table, setting in (("model", "stochastic_depth"), ("data", "scaling"), ("data", "validation")):
        del settings[table][setting]
    Path("other", runs.CONFIG).write_text(to_toml(settings))
    assert engine("resume", "other", "--quiet")[0] == 0
    assert outcome("other") == outcome("run")


def test_damaged_checkpoints(trained, engine):
    shutil.copytree(trained, "run")
    file = Path("run", runs.CHECKPOINT)
    whole = file.read_bytes()
    tensors, state = checkpoint.load_state(file)
    for content in (b"", whole[:50], whole[:-1]):
        file.write_bytes(content)
        code, _, said = engine("resume", "run")
        assert (code, said.count("\n")) == (2, 1)
        assert "run/checkpoint.safetensors: not a checkpoint, or damaged" in said
    shutil.copy(Path("run", runs.WEIGHTS), file)
    assert "not a trainer's checkpoint; it holds weights only" in engine("resume", "run")[2]
    checkpoint.save_state(file, tensors, {**state, "callbacks": 3})
    assert "run/checkpoint.safetensors is damaged" in engine("resume", "run")[2]
    checkpoint.save_state(file, {name: one for name, one in tensors.items() if "model" not in name}, state)
    code, _, said = engine("resume", "run")
    assert (code, said.count("\n")) == (2, 1)
    file.write_bytes(whole)
    assert engine("resume", "run", "--quiet")[0] == 0


def test_wrong_lines(trained, engine):
    shutil.copytree(trained, "run")
    for line, words in [
        ((), "RUN"),
        (("nowhere",), "run 'nowhere' does not exist"),
        ((".",), "has no config.toml"),
        (("run", "--epochs", "0"), "--epochs"),
        (("run", "--epochs", "2"), "--epochs: 2 was given, and run has done 2; give the total, above that."),
        (("run", "--device", "tpu"), "tpu"),
        (("run", "--seed", "1"), "--seed"),
    ]:
        code, printed, said = engine("resume", *line)
        assert (code, printed, said.count("\n")) == (2, "", 1)
        assert words in said


def test_a_file_of_data_that_is_not_here(engine, here):
    generator = np.random.default_rng(0)
    points = generator.normal(size=(40, 2))
    lines = ["a,b,kind", *(f"{a},{b},{'up' if a > b else 'down'}" for a, b in points)]
    Path("points.csv").write_text("\n".join(lines) + "\n")
    line = ("train", "--data", "points.csv", "--hidden", "4", "--epochs", "2", "--output", "run", "--quiet")
    assert engine(*line)[0] == 0
    os.rename("points.csv", "moved.csv")
    code, _, said = engine("resume", "run", "--epochs", "3")
    assert (code, said) == (
        2,
        "engine resume: data 'points.csv', which run is trained on, is not here. Run this in the folder where the "
        "training was started.\n",
    )
    Path("points.csv").write_text("\n".join(lines[:30]) + "\n")
    assert "data points.csv: it has 23 train, 6 test samples, and had 32 train, 8 test" in engine("resume", "run")[2]
    os.replace("moved.csv", "points.csv")
    assert engine("resume", "run", "--epochs", "3", "--quiet")[0] == 0


# -- how often it is written, and what is seen ------------------------------------------------------------


def test_a_checkpoint_comes_within_an_epoch_at_its_end_and_at_the_end(engine, always, monkeypatch):
    kept = []
    monkeypatch.setattr(runs.Run, "save_checkpoint", lambda run, trainer: kept.append((trainer.epoch, trainer.step)))
    assert engine(*SMALL, "--epochs", "2", "--quiet")[0] == 0
    assert kept == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9), (1, 10), (2, 10)]
    kept.clear()
    monkeypatch.setattr(keeping, "_SECONDS_BETWEEN", 10.0)
    assert engine(*SMALL, "--quiet")[0] == 0
    assert kept == [(4, 20)]


def test_lines_and_a_bar_of_the_rest(engine, stopped, monkeypatch):
    stopped(13, *SMALL, "--output", "run")
    monkeypatch.setattr(report.Output, "live", True)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.0)
    code, printed, _ = engine("resume", "run")
    assert code == 0
    assert "resumed after epoch 2, step 13" in printed
    assert "epoch 1/4" not in printed
    assert "epoch 3/4" in printed
    assert "epoch 4/4" in printed
    assert len(en.History.from_csv(Path("run", runs.HISTORY))) == 4


def test_interrupted_twice_tells_where_it_goes_on(stopped, engine, always):
    assert engine(*SMALL, "--output", "whole", "--quiet")[0] == 0
    said = stopped(8, *SMALL, "--output", "run", times=2)
    assert said == (
        "engine train: interrupted after 1 epoch; run holds what was done until then; engine resume run goes on.\n"
    )
    assert engine("resume", "run", "--quiet")[0] == 0
    assert outcome("run") == outcome("whole")
