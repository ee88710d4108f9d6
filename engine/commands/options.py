"""Which options are there? Groups of them, for the commands to take."""

import argparse

from engine import data, initializers, optimizers
from engine.commands import parsing, task
from engine.commands.recipes import RECIPES, SCHEDULES
from engine.layers import Activation


def add_data(parser: argparse.ArgumentParser) -> None:
    """Which data, and how it is split."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        metavar="NAME",
        default="digits",
        type=parsing.one_of("data set", data.names()),
        help=", ".join(data.names()),
    )
    group.add_argument(
        "--samples", metavar="N", type=parsing.whole(1), help="how many, in the made sets (xor, moons, ...)"
    )
    group.add_argument("--noise", metavar="X", type=parsing.number(), help="standard deviation, in the made sets")
    group.add_argument(
        "--test-fraction",
        metavar="X",
        type=parsing.number(0, 1, above=True, below=True),
        default=0.2,
        help="held out for the test",
    )
    group.add_argument(
        "--validation",
        metavar="X",
        type=parsing.number(0, 1, below=True),
        help="share of the training part that is watched and not trained on (default: 0.1 with --early-stopping or "
        "--schedule plateau, else 0)",
    )
    group.add_argument(
        "--data-seed",
        metavar="N",
        type=parsing.whole(0),
        default=0,
        help="of the split, and of the points of made sets",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """The layers."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--hidden",
        metavar="N,N,...",
        type=parsing.widths,
        help='widths of the hidden layers, or "none" (default: by data set)',
    )
    group.add_argument(
        "--activation",
        metavar="NAME",
        default="relu",
        type=parsing.known_to(Activation.by_name),
        help=", ".join(Activation.names()),
    )
    group.add_argument(
        "--initializer",
        metavar="NAME",
        default="auto",
        type=parsing.or_word("auto", parsing.known_to(initializers.get)),
        help=f"{', '.join(initializers.names())}; auto suits the activation",
    )
    group.add_argument("--batch-norm", action="store_true", help="normalise by the batch, before each activation")
    group.add_argument(
        "--dropout",
        metavar="RATE",
        default=0.0,
        type=parsing.number(0, 1, below=True),
        help="share dropped after each activation",
    )
    group.add_argument(
        "--precision",
        metavar="DTYPE",
        default="float32",
        type=parsing.one_of("precision", ("float32", "float64")),
        help="float32, float64",
    )


def add_loss(parser: argparse.ArgumentParser) -> None:
    """What is made small."""
    group = parser.add_argument_group("loss")
    group.add_argument(
        "--loss",
        metavar="NAME",
        default="auto",
        type=parsing.or_word("auto", parsing.one_of("loss", task.LOSSES)),
        help=f"{', '.join(task.LOSSES)}; auto suits the data",
    )
    group.add_argument(
        "--label-smoothing", metavar="X", type=parsing.number(0, 1, below=True), help="of cross-entropy (default: 0)"
    )
    group.add_argument(
        "--class-weight",
        metavar="HOW",
        type=parsing.class_weight,
        help="of cross-entropy: balanced, or one number for each class with commas (default: all count alike)",
    )
    group.add_argument("--margin", metavar="X", type=parsing.number(above=True), help="of hinge (default: 1)")
    group.add_argument("--delta", metavar="X", type=parsing.number(above=True), help="of huber (default: 1)")
    group.add_argument("--l1", metavar="X", type=parsing.number(), default=0.0, help="penalty X * sum |w|")
    group.add_argument("--l2", metavar="X", type=parsing.number(), default=0.0, help="penalty X * sum w^2")


def add_training(parser: argparse.ArgumentParser) -> None:
    """How it is made small."""
    group = parser.add_argument_group("training")
    group.add_argument(
        "--optimizer",
        metavar="NAME",
        default="adam",
        type=parsing.one_of("optimizer", optimizers.Optimizer.names()),
        help=", ".join(optimizers.Optimizer.names()),
    )
    group.add_argument(
        "--learning-rate", metavar="X", type=parsing.number(above=True), help="(default: by optimizer and data set)"
    )
    group.add_argument(
        "--momentum", metavar="X", type=parsing.number(0, 1, below=True), help="of sgd and rmsprop (default: 0)"
    )
    group.add_argument("--nesterov", action="store_true", default=None, help="Nesterov's momentum, of sgd")
    group.add_argument("--weight-decay", metavar="X", type=parsing.number(), help="of the optimizer (default: its own)")
    group.add_argument(
        "--epochs", metavar="N", type=parsing.whole(1), help="passes over the data (default: by data set)"
    )
    group.add_argument(
        "--batch-size",
        metavar="N|all",
        type=parsing.or_word("all", parsing.whole(1)),
        help="samples a step; all is gradient descent (default: by data set)",
    )
    group.add_argument("--drop-last", action="store_true", help="leave out an epoch's last batch where it is smaller")
    group.add_argument(
        "--accumulate", metavar="K", type=parsing.whole(1), default=1, help="one step for every K batches"
    )
    group.add_argument(
        "--clip-norm", metavar="X", type=parsing.number(above=True), help="longest gradient (default: any)"
    )
    group.add_argument(
        "--clip-value", metavar="X", type=parsing.number(above=True), help="largest element of it (default: any)"
    )
    group.add_argument(
        "--ema",
        metavar="DECAY",
        type=parsing.number(0, 1, above=True, below=True),
        help="keep and use a moving average of weights",
    )
    group = parser.add_argument_group("learning rate over time")
    group.add_argument(
        "--schedule",
        metavar="NAME",
        default="constant",
        type=parsing.one_of("schedule", SCHEDULES),
        help=", ".join(SCHEDULES),
    )
    group.add_argument(
        "--warmup", metavar="EPOCHS", type=parsing.number(), default=0.0, help="rise from 0 during so many epochs"
    )
    group.add_argument(
        "--schedule-every",
        metavar="EPOCHS",
        type=parsing.number(above=True),
        help="step: time between steps (default: a third)",
    )
    group.add_argument(
        "--schedule-factor",
        metavar="X",
        type=parsing.number(0, 1, above=True, below=True),
        help="step, plateau: multiplies the rate (default: 0.1); exponential: the same, every epoch (default: 0.95)",
    )
    group.add_argument(
        "--schedule-patience",
        metavar="N",
        type=parsing.whole(0),
        help="plateau: epochs without improvement (default: 5)",
    )
    group = parser.add_argument_group("when to stop")
    group.add_argument(
        "--early-stopping",
        metavar="PATIENCE",
        type=parsing.whole(1),
        help="stop after so many epochs without a better validation loss, and go back to the best weights",
    )
    group.add_argument(
        "--stop-below",
        metavar="EPS",
        type=parsing.number(above=True),
        help="stop when a step is shorter: ||w_t - w_(t-1)|| < EPS",
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """Where it is computed."""
    parser.add_argument("--device", metavar="NAME", default="auto", type=parsing.device, help="cpu, cuda, cuda:N, auto")


def add_display(parser: argparse._ActionsContainer) -> None:
    """How much is shown."""
    parser.add_argument("--quiet", action="store_true", help="only the last line")
    parser.add_argument("--json", action="store_true", help="only the result, as one JSON object")


def recipe_lines() -> str:
    """The defaults that depend on the data set, for help; sets with the same ones share lines."""
    lines = ["defaults by data set (the learning rate is that of adam):"]
    for recipe in dict.fromkeys(RECIPES.values()):
        lines += [
            f"  {', '.join(name for name, own in RECIPES.items() if own == recipe)}",
            f"      --hidden {','.join(map(str, recipe.hidden))} --epochs {recipe.epochs} "
            f"--batch-size {recipe.batch_size} --learning-rate {recipe.learning_rate:g}",
        ]
    return "\n".join(lines)
