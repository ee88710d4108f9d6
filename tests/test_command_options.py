"""Does every option of model, loss, optimizer and schedule set what it says, and is it refused elsewhere?"""

import inspect
import json
import math
import re
import tomllib

import numpy as np
import pytest

import engine as en
from engine import commands, runs
from engine.commands import build, parameters, report, settings, task
from engine.commands.parameters import PARAMETERS, members
from engine.commands.train import model_table
from engine.errors import ArgumentError
from engine.layers import StochasticDepth
from engine.runs import Run
from engine.toml import to_toml

TINY = ("train", "--data", "xor", "--samples", "60", "--hidden", "4", "--epochs", "2", "--json", "--output", "run")


def read(*line):
    """The arguments of a line of `train`."""
    return commands.make_parser().parse_args(["train", *line])


def layers(*line, inputs=3, outputs=2):
    """The model that `train` with these options builds."""
    table = {**model_table(read(*line), ()), "inputs": [inputs], "outputs": outputs, "seed": 0}
    return build.model(table)


def made_optimizer(*line):
    arguments = read(*line)
    table = {"name": arguments.optimizer, **parameters.chosen("optimizer", arguments.optimizer, arguments)}
    return build.optimizer(table, {"name": "constant", "warmup": 0.0}, en.Linear(2, 2), 10, 3)


def made_schedule(*line, rate=0.5, steps=10, epochs=4):
    arguments = read(*line)
    table = {"name": arguments.schedule, "warmup": arguments.warmup}
    table |= parameters.chosen("schedule", arguments.schedule, arguments)
    return build.schedule(table, rate, steps, epochs)


def made_loss(*line):
    arguments = read(*line)
    return build.loss({"name": arguments.loss, **parameters.chosen("loss", arguments.loss, arguments)})


# -- everything can be set --------------------------------------------------------------------------------

NOT_SET_BY_OPTION = {
    # The model's, --learning-rate, and what epochs and batches say.
    "optimizer": {"parameters", "learning_rate"},
    "schedule": {"value", "initial", "peak", "steps", "mode"},  # a loss is watched: smaller is better
    "loss": {"from_logits"},  # models give logits
    "activation": {"axis", "in_features", "out_features", "initializer", "generator", "dtype", "device"},
    "initializer": set(),
}


@pytest.mark.parametrize("family", NOT_SET_BY_OPTION)
def test_every_parameter_of_every_constructor_has_an_option(family):
    known = {(name, owner.name) for one in PARAMETERS if one.family == family for name, owner in one.owners().items()}
    for name, constructor in members(family).items():
        if constructor.__module__.startswith("engine"):  # tests define members of their own
            wanted = set(inspect.signature(constructor).parameters) - NOT_SET_BY_OPTION[family]
            assert {own for owner, own in known if owner == name} == wanted, name


def test_no_option_means_two_things():
    options = [one.option for one in PARAMETERS]
    assert len(options) == len(set(options))
    for family in NOT_SET_BY_OPTION:
        kept = [one.setting for one in PARAMETERS if one.family == family]
        assert len(kept) == len(set(kept))


OPTIMIZERS = {
    "sgd": (["--momentum", "0.5", "--nesterov", "--weight-decay", "0.1"],
            {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    "adagrad": (["--eps", "1e-3", "--weight-decay", "0.1"], {"eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop": (["--rmsprop-alpha", "0.5", "--eps", "1e-3", "--momentum", "0.2"],
                {"alpha": 0.5, "eps": 1e-3, "momentum": 0.2}),
    "adam": (["--betas", "0.8,0.95", "--eps", "1e-4"], {"beta1": 0.8, "beta2": 0.95, "eps": 1e-4}),
    "adamw": (["--betas", "0,0.5", "--weight-decay", "0.3"], {"beta1": 0.0, "beta2": 0.5, "weight_decay": 0.3}),
    "nadam": (["--momentum-decay", "0.1"], {"momentum_decay": 0.1, "beta1": 0.9}),
    "lion": (["--betas", "0.8,0.9"], {"beta1": 0.8, "beta2": 0.9}),
    "lbfgs": (["--lbfgs-iterations", "7", "--lbfgs-history", "5", "--line-search", "strong-wolfe",
               "--tolerance-gradient", "1e-2", "--tolerance-change", "0"],
              {"max_iterations": 7, "history": 5, "line_search": "strong-wolfe", "tolerance_gradient": 1e-2,
               "tolerance_change": 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    line, wanted = OPTIMIZERS[name]
    found = made_optimizer("--optimizer", name, *line)
    assert type(found).__name__.lower() == name
    assert {key: found.groups[0].settings[key] for key in wanted} == wanted
    assert (
        made_optimizer("--optimizer", name).groups[0].settings
        == members("optimizer")[name]([en.Parameter([1.0])]).groups[0].settings
    )


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        (["--loss", "squared-error", "--loss-factor", "0.5"], "factor", 0.5),
        (["--loss", "huber", "--delta", "2"], "delta", 2.0),
        (["--loss", "hinge", "--margin", "0.3"], "margin", 0.3),
        (["--loss", "cross-entropy", "--label-smoothing", "0.1"], "label_smoothing", 0.1),
        (["--loss", "logistic", "--reduction", "sum"], "reduction", "sum"),
        (["--loss", "binary-cross-entropy"], "from_logits", True),
    ],
)
def test_losses(line, attribute, value):
    assert getattr(made_loss(*line), attribute) == value


def test_activations():
    slope = layers("--hidden", "4", "--activation", "Leaky_ReLU", "--negative-slope", "-0.3")[1]
    assert (type(slope).__name__, slope.negative_slope) == ("LeakyReLU", -0.3)
    assert layers("--hidden", "4", "--activation", "elu", "--elu-alpha", "0.25")[1].alpha == 0.25
    model = layers("--hidden", "4,4", "--activation", "maxout", "--pieces", "3", "--batch-norm", "--dropout", "0.1")
    kinds = ["Maxout", "BatchNorm", "Dropout"]
    assert [type(layer).__name__ for layer in model] == [*kinds, *kinds, "Linear"]
    assert model[0].weight.shape == (3, 12)
    assert layers("--hidden", "4", "--activation", "maxout")[0].pieces == 2


def test_initializers():
    assert set(
        layers("--hidden", "4", "--initializer", "constant", "--init-value", "-1e-3")[0].weight.numpy().flat
    ) == {np.float32(-1e-3)}
    wide = ("--hidden", "400", "--initializer")
    drawn = layers(*wide, "normal", "--init-std", "2", "--init-mean", "5", inputs=400)[0].weight.numpy()
    assert (drawn.mean(), drawn.std()) == (pytest.approx(5, abs=0.02), pytest.approx(2, abs=0.02))
    drawn = layers(*wide, "uniform", "--init-low", "-0.5", "--init-high", ".25", inputs=400)[0].weight.numpy()
    assert (drawn.min(), drawn.max()) == (pytest.approx(-0.5, abs=1e-3), pytest.approx(0.25, abs=1e-3))
    turned = layers("--hidden", "4", "--initializer", "orthogonal", "--init-gain", "3", "--precision", "float64")
    w = turned[0].weight.numpy()
    np.testing.assert_allclose(w @ w.T, 9 * np.eye(3), atol=1e-12)
    one, other = (layers("--hidden", "4", "--initializer", name) for name in ("glorot-normal", "glorot_normal"))
    assert np.array_equal(one[0].weight.numpy(), other[0].weight.numpy())


def test_schedules():
    """10 steps an epoch, 4 epochs, from 0.5: by the formulas of the schedules' docstrings."""
    cosine = made_schedule("--schedule", "cosine", "--schedule-minimum", "0.1")
    assert cosine(20) == pytest.approx(0.1 + 0.4 * (1 + math.cos(math.pi / 2)) / 2)
    assert (cosine(0), cosine(40)) == (pytest.approx(0.5), pytest.approx(0.1))
    step = made_schedule("--schedule", "step", "--schedule-every", "2", "--schedule-factor", "0.3")
    assert [step(at) for at in (19, 20, 39)] == [0.5, pytest.approx(0.15), pytest.approx(0.15)]
    assert made_schedule("--schedule", "step")(13) == pytest.approx(0.05)  # 4 / 3 epochs are 13 steps
    falling = made_schedule("--schedule", "exponential", "--schedule-factor", "0.5")
    assert [falling(10), falling(20)] == [pytest.approx(0.25), pytest.approx(0.125)]
    assert made_schedule("--schedule", "exponential")(10) == pytest.approx(0.5 * 0.95)
    cycle = made_schedule("--schedule", "one-cycle", "--schedule-rise", "0.5", "--schedule-start-divisor", "10",
                          "--schedule-final-divisor", "5")  # fmt: skip
    assert [cycle(0), cycle(19), cycle(39)] == [pytest.approx(0.05), pytest.approx(0.5), pytest.approx(0.01)]
    plateau = made_schedule("--schedule", "plateau", "--schedule-factor", "0.1", "--schedule-patience", "0",
                            "--schedule-minimum", "0.2", "--schedule-threshold", "0.5")  # fmt: skip
    for value in (1.0, 0.6, 0.6):  # 0.6 is no improvement by half
        plateau.epoch_end(value)
    assert plateau(0) == 0.2
    assert made_schedule("--schedule", "plateau").patience == 5
    assert made_schedule() == 0.5
    warm = made_schedule("--warmup", "1", "--schedule", "cosine", "--schedule-minimum", "0.2")
    assert [warm(9) < 0.5, warm(10), warm(40)] == [True, 0.5, pytest.approx(0.2)]


def test_penalty_is_every_elastic_net():
    assert vars(build.penalty(0.2, 0.1)) == {"strength": 0.2, "beta": 0.5}


# -- refused -----------------------------------------------------------------------------------------------

REFUSED = {
    "betas of sgd": (["--optimizer", "sgd", "--betas", "0.9,0.99"],
                     "--betas: optimizer sgd has none; allowed with adam, adamw, lion, nadam."),
    "eps of lion": (["--optimizer", "lion", "--eps", "1e-8"],
                    "--eps: optimizer lion has none; allowed with adagrad, adam, adamw, nadam, rmsprop."),
    "alpha of adam": (["--rmsprop-alpha", "0.9"], "--rmsprop-alpha: optimizer adam has none; allowed with rmsprop."),
    "nesterov of adam": (["--nesterov"], "--nesterov: optimizer adam has none; allowed with sgd."),
    "slope of relu": (["--negative-slope", "0.1"], "activation relu has none; allowed with leaky-relu."),
    "pieces of tanh": (["--activation", "tanh", "--pieces", "3"], "activation tanh has none; allowed with maxout."),
    "std of auto": (["--init-std", "1"], "--init-std: initializer auto has none; allowed with normal."),
    "low of normal": (["--initializer", "normal", "--init-low", "1"], "normal has none; allowed with uniform."),
    "delta of the data's loss": (["--delta", "2"], "--delta: loss binary-cross-entropy has none; allowed with huber."),
    "minimum of step": (["--schedule", "step", "--schedule-minimum", "0"],
                        "--schedule-minimum: schedule step has none; allowed with cosine, plateau."),
    "rise of constant": (["--schedule-rise", "0.5"], "schedule constant has none; allowed with one-cycle."),
    "three betas": (["--betas", "0.9,0.99,0.9"], "allowed are two numbers from 0 and below 1 with a comma"),
    "beta 1": (["--betas", "0.9,1"], "such as 0.9,0.999"),
    "eps 0": (["--eps", "0"], "numbers above 0"),
    "value without end": (["--initializer", "constant", "--init-value", "inf"], "'inf' was given; allowed are finite"),
    "high below low": (["--initializer", "uniform", "--init-low", "1"], "low 1.0 is above high 0.05"),
    "elu of -1": (["--activation", "elu", "--elu-alpha", "-1"], "numbers above 0"),
    "line search": (["--line-search", "wolfe"], "line search 'wolfe' is unknown"),
    "reduction none": (["--reduction", "none"], "reduction 'none' is unknown"),
    "activation": (["--activation", "maxot"], "activation 'maxot' is unknown; did you mean maxout"),
    "depth without equals": (["--stochastic-depth", "0.2", "--hidden", "8,4"],
                             "hidden widths are 8, 4. Give equal neighbours, such as --hidden 128,128."),
    "depth without layers": (["--stochastic-depth", "0.2", "--hidden", "none"], "hidden widths are none"),
    "dropout of no layer": (["--dropout", "0.2", "--hidden", "none"], "--dropout: it follows hidden layers, and there"),
    "batch norm of no layer": (["--batch-norm", "--hidden", "none"], "--batch-norm: it follows hidden layers, and"),
    "depth 1": (["--stochastic-depth", "1"], "numbers from 0 and below 1"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(engine, line, words, tmp_path):
    code, printed, said = engine("train", "--data", "xor", "--samples", "50", *line)
    assert (code, printed) == (2, "")
    assert words in said
    assert said.startswith("engine train: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_names_owners_and_defaults(engine, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, printed, _ = engine("train", "--help")
    lines = {line.split()[0]: " ".join(line.split()) for line in printed.splitlines() if line.startswith("  --")}
    assert lines["--betas"].endswith(
        "adam, adamw, lion, nadam: decays of the averages (default: 0.9,0.999; lion 0.9,0.99)"
    )
    assert lines["--weight-decay"].endswith("all but lbfgs: pulls weights to 0 (default: 0; adamw 0.01)")
    assert lines["--line-search"].endswith("lbfgs: strong-wolfe (default: none)")
    assert lines["--schedule-patience"].endswith("(default: 5)")


# -- in a run ----------------------------------------------------------------------------------------------

CHANGES = {
    "leaky-relu": ["--activation", "leaky-relu", "--negative-slope", "0.5"],
    "elu": ["--activation", "elu", "--elu-alpha", "0.5"],
    "maxout": ["--activation", "maxout", "--pieces", "3"],
    "constant": ["--initializer", "constant", "--init-value", "0.25"],
    "normal": ["--initializer", "normal", "--init-std", "0.3"],
    "uniform": ["--initializer", "uniform", "--init-low", "-0.2", "--init-high", "0.7"],
    "depth": ["--hidden", "4,4,4", "--stochastic-depth", "0.5"],
    "betas": ["--betas", "0.5,0.9"],
    "eps": ["--eps", "0.1"],
    "alpha": ["--optimizer", "rmsprop", "--rmsprop-alpha", "0.5"],
    "momentum decay": ["--optimizer", "nadam", "--momentum-decay", "1"],
    "iterations": ["--optimizer", "lbfgs", "--lbfgs-iterations", "2"],
    "line search": ["--optimizer", "lbfgs", "--line-search", "strong-wolfe"],
    "factor": ["--loss", "squared-error", "--loss-factor", "0.5"],
    "sum": ["--reduction", "sum"],
    "minimum": ["--schedule", "cosine", "--schedule-minimum", "0.002", "--batch-size", "8"],
    "rise": ["--schedule", "one-cycle", "--schedule-rise", "0.7", "--batch-size", "8"],
}


def weights(run):
    return {name: tensor.numpy() for name, tensor in build.trained_model(run).state_dict().items()}


def test_each_changes_the_weights_and_is_evaluated_as_trained(engine):
    seen = []
    for name, line in CHANGES.items():
        code, printed, said = engine(*TINY, "--overwrite", *line)
        assert (code, said) == (0, ""), name
        now = weights(Run.open("run"))
        assert all(
            one.keys() != now.keys() or any(not np.array_equal(one[key], now[key]) for key in now) for one in seen
        )
        seen.append(now)
        assert json.loads(engine("evaluate", "run", "--json")[1])["test"] == json.loads(printed)["test"], name
        assert engine("summary", "run")[0] == 0


def test_sum_is_told_as_a_mean(engine):
    """The loss that is shown is one a sample, whatever the reduction: with frozen weights both are the same."""
    shown = []
    for reduction in ("mean", "sum"):
        line = ("--reduction", reduction, "--optimizer", "sgd", "--learning-rate", "1e-30", "--overwrite")
        shown.append(json.loads(engine(*TINY, *line)[1])["test"]["loss"])
    assert shown[0] == pytest.approx(shown[1], rel=1e-6)


def test_runs_without_the_newer_settings_open(engine):
    result = json.loads(engine(*TINY)[1])
    file = Run.open("run").path / runs.CONFIG
    config = tomllib.loads(file.read_text())
    newer = {one.setting for one in PARAMETERS} | {"stochastic_depth"}
    old = {name: {key: value for key, value in table.items() if key not in newer} for name, table in config.items()}
    assert "stochastic_depth" not in old["model"]
    file.write_text(to_toml(old))
    assert json.loads(engine("evaluate", "run", "--json")[1])["test"] == result["test"]
    assert "17" in engine("summary", "run")[1]


@pytest.mark.parametrize(
    ("table", "setting", "value"),
    [
        ("model", "negative_slope", "steep"),
        ("model", "pieces", 0),
        ("model", "init_std", float("nan")),
        ("model", "stochastic_depth", 1.0),
        ("loss", "reduction", "none"),
        ("loss", "factor", -1.0),
    ],
)
def test_damaged_settings(engine, table, setting, value):
    assert engine(*TINY)[0] == 0
    run = Run.open("run")
    run.config[table][setting] = value
    with pytest.raises(en.DataError, match=rf"run/config.toml, \[{table}\]: {setting} is .*; it must be "):
        settings.table(run, table)


def test_describe_model():
    table = {"inputs": [2], "hidden": [4, 4], "outputs": 1, "batch_norm": False, "dropout": 0, "precision": "float32"}
    assert report.describe_model({**table, "activation": "elu", "elu_alpha": 0.5}) == "2-4-4-1, elu 0.5"
    assert report.describe_model({**table, "activation": "maxout", "pieces": 3}) == "2-4-4-1, maxout of 3"
    wanted = "2-4-4-1, relu, stochastic depth 0.2"
    assert report.describe_model({**table, "activation": "relu", "stochastic_depth": 0.2}) == wanted


# -- stochastic depth -----------------------------------------------------------------------------------------


def test_stochastic_depth_by_hand():
    """Blocks as wide as the one before get rate * l / L; in evaluation they add what they compute."""
    model = layers("--hidden", "4,4,6,6,6", "--stochastic-depth", "0.6", "--activation", "tanh", "--dropout", "0.1")
    found = [layer for layer in model if isinstance(layer, StochasticDepth)]
    assert [layer.drop for layer in found] == [pytest.approx(0.2), pytest.approx(0.4), pytest.approx(0.6)]
    assert [[type(part).__name__ for part in layer.branch] for layer in found] == [["Linear", "Tanh", "Dropout"]] * 3
    model.eval()
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    arrays = [one.numpy() for one in model.parameters()]
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    y = x
    for number, (w, b) in enumerate(pairs[:-1]):
        block = np.tanh(y @ w + b)
        y = y + block if number in (1, 3, 4) else block
    np.testing.assert_allclose(model(en.tensor(x)).numpy(), y @ pairs[-1][0] + pairs[-1][1], rtol=1e-5, atol=1e-6)
    assert len({layer.key for layer in found}) == 3


def test_first_weights_do_not_depend_on_what_is_off():
    plain, deep = (layers("--hidden", "4,4", *line) for line in ([], ["--stochastic-depth", "0"]))
    assert all(
        np.array_equal(one.numpy(), other.numpy())
        for one, other in zip(plain.parameters(), deep.parameters(), strict=True)
    )


def test_stochastic_depth_in_the_summary(engine):
    line = ("summary", "--inputs", "3", "--outputs", "2", "--hidden", "4,4", "--stochastic-depth", "0.5")
    printed = engine(*line)[1]
    assert "StochasticDepth" in printed
    facts = json.loads(engine(*line, "--json")[1])
    assert facts["parameters"] == 3 * 4 + 4 + 4 * 4 + 4 + 4 * 2 + 2
    assert [row["kind"] for row in facts["rows"]].count("Linear") == 3


# -- averages and early stopping ----------------------------------------------------------------------------


def test_averages_go_back_with_early_stopping(engine):
    """The result is that of the averages after the best epoch, and evaluate finds it again."""
    line = ("train", "--data", "xor", "--samples", "80", "--noise", "1.2", "--hidden", "8", "--learning-rate", "0.1",
            "--epochs", "60", "--ema", "0.8", "--early-stopping", "3", "--validation", "0.3", "--json")  # fmt: skip
    code, printed, said = engine(*line, "--output", "run")
    assert (code, said) == (0, "")
    result = json.loads(printed)
    history = en.History.from_csv("run/history.csv")
    best, value = history.best("validation_loss")
    assert best < result["epochs"] < 60
    assert result["validation"]["loss"] == pytest.approx(value, rel=1e-6)
    assert json.loads(engine("evaluate", "run", "--json")[1])["test"] == result["test"]


# -- several labels a sample ---------------------------------------------------------------------------------

LABELS = en.data.Dataset(np.zeros((3, 2)), np.array([[1, 0], [0, 0], [1, 1]]), class_names=("red", "round"))


def test_forms_of_several_labels():
    assert LABELS.task == "multilabel"
    assert task.default_loss("multilabel") == "binary-cross-entropy"
    for loss in ("binary-cross-entropy", "logistic", "mean-squared-error", "squared-error", "huber"):
        task.check(loss, LABELS)
        assert task.outputs(loss, LABELS) == 2
        found = task.targets(loss, LABELS, "float64")
        no = -1 if loss == "logistic" else 0
        assert (found.dtype, found.tolist()) == (np.float64, [[1, no], [no, no], [1, 1]])
    for loss in ("cross-entropy", "hinge"):
        with pytest.raises(
            ArgumentError, match=f"loss {loss}: it needs one class a sample, and those of data have sev"
        ):
            task.check(loss, LABELS)
    with pytest.raises(ArgumentError, match="--class-weight: the samples of data have several labels each"):
        build.class_weight("balanced", LABELS)


@pytest.mark.parametrize(("loss", "above"), [("logistic", 0.0), ("mean-squared-error", 0.5)])
def test_measures_of_several_labels(loss, above):
    """Label by label: 4 of 6 answers are right; F1 is 2 * 1 / (1 + 2) for red, 2 * 1 / (2 + 1) for round."""
    output = above + np.array([[1.0, -1.0], [-1.0, 1.0], [-1.0, 1.0]])
    found = task.said(loss, output, "multilabel")
    assert found.classes.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert found.numbers.shape == (3, 2)
    assert found.kind == ("probability" if loss == "logistic" else "score")
    values = {}
    for metric in task.measures(loss, "multilabel"):
        metric.update(output, task.targets(loss, LABELS, "float64"))
        values[metric.name] = metric.result()
    assert values == {"accuracy": pytest.approx(4 / 6), "f1": pytest.approx(2 / 3)}
    if loss == "logistic":
        assert found.numbers[0].tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e)])


def test_training_on_several_labels(engine, tmp_path):
    """Two labels that a line each decides: whether the first number is above 0, and the sum of both."""
    x = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    y = np.stack([x[:, 0] > 0, x.sum(axis=1) > 0], axis=1).astype(int)
    rows = [f"{a:.6f},{b:.6f},{c},{d}" for (a, b), (c, d) in zip(x, y, strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(["a,b,first,sum", *rows]) + "\n")
    line = ("train", "--data", "labels.csv", "--target", "first,sum", "--output", "run", "--learning-rate", "0.02",
            "--epochs", "20", "--hidden", "8")  # fmt: skip
    for extra in ((), ("--loss", "logistic"), ("--loss", "mean-squared-error")):
        code, printed, said = engine(*line, "--overwrite", "--json", *extra)
        assert (code, said) == (0, "")
        result = json.loads(printed)
        assert "confusion" not in result
        assert result["test"]["accuracy"] > 0.9
        assert result["test"]["f1"] > 0.9
        assert json.loads(engine("evaluate", "run", "--json")[1])["test"] == result["test"]
    _, printed, _ = engine("evaluate", "run")
    assert re.search(r"^ F1 +0\.9", printed, re.M)
    assert printed.splitlines()[-1].startswith("test accuracy 0.9")
    assert "it needs one class a sample" in engine(*line, "--overwrite", "--loss", "cross-entropy")[2]
