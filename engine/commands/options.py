"""Which options are there? Groups of them, for the commands to take."""

import argparse

from engine import data, initializers, optimizers
from engine.commands import parameters, parsing, task
from engine.commands.recipes import BY_SIZE, RECIPES, Recipe
from engine.data.columns import IMPUTE
from engine.data.dataset import TASKS
from engine.data.preparation import SCALINGS
from engine.precision import PRECISIONS


def add_data(parser: argparse.ArgumentParser) -> None:
    """Which data, what is what in it, how it is split and prepared."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        metavar="NAME|FILE",
        default="digits",
        type=parsing.data,
        help=f"{', '.join(data.names())}; or a file (csv, tsv, npy, npz, idx, CIFAR's, LIBSVM; also .gz, .xz), "
        "or a folder with a folder of images for each class",
    )
    add_data_dir(group)
    group.add_argument(
        "--samples", metavar="N", type=parsing.whole(1), help="how many points, in the made sets (xor, moons, ...)"
    )
    group.add_argument("--noise", metavar="X", type=parsing.number(), help="standard deviation, in the made sets")
    group = parser.add_argument_group("data in a file")
    group.add_argument(
        "--target",
        metavar="COLUMN,...|FILE",
        type=parsing.names,
        help="columns to learn, by name or number from 0 (-1 is the last); or the file of the targets "
        "(default: what the file brings along, or its last column)",
    )
    group.add_argument(
        "--test", metavar="FILE", type=parsing.path, help="the samples to test on (default: a part of the data)"
    )
    group.add_argument(
        "--test-target",
        metavar="FILE",
        type=parsing.path,
        help="their targets, where they are in a file of their own",
    )
    group.add_argument("--ignore", metavar="COLUMN,...", type=parsing.names, help="columns to leave out")
    group.add_argument(
        "--text", metavar="COLUMN,...", type=parsing.names, help="columns whose numbers are names, such as postcodes"
    )
    add_reading(group)
    group.add_argument(
        "--task",
        metavar="NAME",
        type=parsing.OneOf("task", TASKS),
        help=f"{', '.join(TASKS)} (default: as the target shows)",
    )
    group.add_argument(
        "--image-size", metavar="HxW", type=parsing.image_size, help="bring images to one size, such as 32x32"
    )
    group = parser.add_argument_group("preparation")
    group.add_argument(
        "--impute",
        metavar="HOW",
        type=parsing.OneOf("imputation", IMPUTE),
        help=f"fill empty cells of a table: {', '.join(IMPUTE)} (default: an empty cell is an error)",
    )
    group.add_argument(
        "--scaling",
        metavar="HOW",
        default="auto",
        type=parsing.OneOf("scaling", ("auto", *SCALINGS)),
        help="none; scale (bytes into 0..1, other numbers into -1..1); standardize (mean 0, deviation 1); auto suits "
        "the data",
    )
    group.add_argument(
        "--augment",
        metavar="WHAT,...",
        type=parsing.augmentation,
        help="changes of the training samples, drawn anew each time: flip and shift:PIXELS of images, noise:DEVIATION",
    )
    group = parser.add_argument_group("split")
    group.add_argument(
        "--test-fraction",
        metavar="X",
        type=parsing.number(0, 1, above=True, below=True),
        help="share held out for the test, of every class alike, where the data has no test part of its own "
        "(default: 0.2)",
    )
    group.add_argument(
        "--validation",
        metavar="X",
        type=parsing.number(0, 1, below=True),
        help="share of the training part that is watched instead of trained on (default: 0.1 with --early-stopping or "
        "--schedule plateau, else 0)",
    )
    group.add_argument(
        "--data-seed",
        metavar="N",
        type=parsing.whole(0),
        default=0,
        help="which samples go where, and which points the made sets have",
    )


def add_data_dir(
    parser: argparse._ActionsContainer, default: str = "the variable ENGINE_DATA, the cache, else they are downloaded"
) -> None:
    """Where official files lie."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=parsing.path,
        help=f"holds mnist/, fashion-mnist/, cifar-10/ with the official files (default: {default})",
    )


def add_reading(parser: argparse._ActionsContainer) -> None:
    """How the text of a file is read."""
    parser.add_argument(
        "--separator",
        metavar="CHAR",
        type=parsing.separator,
        help="between cells: a character, tab, or space for any white space (default: found out)",
    )
    parser.add_argument(
        "--header",
        metavar="yes|no",
        type=parsing.yes_or_no,
        help="whether the first line names the columns (default: found out)",
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
    names = sorted(parameters.members("activation"))
    group.add_argument(
        "--activation",
        metavar="NAME",
        default="relu",
        type=parsing.OneOf("activation", names),
        help=", ".join(names),
    )
    parameters.add(group, "activation")
    group.add_argument(
        "--initializer",
        metavar="NAME",
        default="auto",
        type=parsing.OrWord("auto", parsing.OneOf("initializer", initializers.names())),
        help=f"{', '.join(initializers.names())}; auto suits the activation",
    )
    parameters.add(group, "initializer")
    group.add_argument(
        "--batch-norm", action="store_true", help="normalise by the batch, before each activation (after maxout)"
    )
    group.add_argument(
        "--dropout",
        metavar="RATE",
        default=0.0,
        type=parsing.number(0, 1, below=True),
        help="share dropped after each activation",
    )
    group.add_argument(
        "--stochastic-depth",
        metavar="RATE",
        default=0.0,
        type=parsing.number(0, 1, below=True),
        help="hidden layers as wide as the one before become x + layer(x); training leaves layer(x) out at random, "
        "with probability RATE l/L in the l-th of L such layers",
    )
    group.add_argument(
        "--precision",
        metavar="NAME",
        default="float32",
        type=parsing.OneOf("precision", PRECISIONS),
        help="float32 or float64; or tf32, bfloat16, float16: float32, but with matrix products of numbers rounded to "
        "that type (float16 scales the loss; none of them is faster on a CPU)",
    )


def add_loss(parser: argparse.ArgumentParser) -> None:
    """What is made small."""
    group = parser.add_argument_group("loss")
    group.add_argument(
        "--loss",
        metavar="NAME",
        default="auto",
        type=parsing.OrWord("auto", parsing.OneOf("loss", task.LOSSES)),
        help=task.LOSS_HELP,
    )
    parameters.add(group, "loss")
    group.add_argument("--l1", metavar="X", type=parsing.number(), default=0.0, help="add X * sum |w| to the loss")
    group.add_argument(
        "--l2", metavar="X", type=parsing.number(), default=0.0, help="add X * sum w^2; with --l1: elastic net"
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """How it is made small."""
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs", metavar="N", type=parsing.whole(1), help="passes over the data (default: by data set)"
    )
    group.add_argument(
        "--batch-size",
        metavar="N|all",
        type=parsing.OrWord("all", parsing.whole(1)),
        help="samples a step; all is gradient descent (default: by data set)",
    )
    group.add_argument("--drop-last", action="store_true", help="leave out an epoch's last batch where it is smaller")
    group.add_argument(
        "--accumulate", metavar="K", type=parsing.whole(1), default=1, help="batches that one step averages over"
    )
    add_step(group)
    add_optimizer(parser)
    group = parser.add_argument_group("learning rate over time")
    group.add_argument(
        "--schedule",
        metavar="NAME",
        default="constant",
        type=parsing.OneOf("schedule", parameters.SCHEDULES),
        help=", ".join(parameters.SCHEDULES),
    )
    group.add_argument(
        "--warmup", metavar="EPOCHS", type=parsing.number(), default=0.0, help="epochs in which the rate rises from 0"
    )
    parameters.add(group, "schedule")
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
        help="stop when a step moves the weights by less: ||w_t - w_(t-1)|| < EPS",
    )


def add_step(group: argparse._ActionsContainer) -> None:
    """What a step does beside its gradients and the optimizer's update."""
    group.add_argument(
        "--clip-norm",
        metavar="X",
        type=parsing.number(above=True),
        help="shorten the gradient to this length (default: never)",
    )
    group.add_argument(
        "--clip-value",
        metavar="X",
        type=parsing.number(above=True),
        help="bound of each of its elements (default: none)",
    )
    group.add_argument(
        "--ema",
        metavar="DECAY",
        type=parsing.number(0, 1, above=True, below=True),
        help="test with a moving average of the weights, that keeps so much of itself in a step, such as 0.999",
    )


def add_optimizer(parser: argparse.ArgumentParser) -> None:
    """Which recurrence, and its settings."""
    group = parser.add_argument_group("optimizer")
    group.add_argument(
        "--optimizer",
        metavar="NAME",
        default="adam",
        type=parsing.OneOf("optimizer", optimizers.Optimizer.names()),
        help=", ".join(optimizers.Optimizer.names()),
    )
    group.add_argument(
        "--learning-rate",
        metavar="X",
        type=parsing.number(above=True),
        help="how far a step goes (default: by optimizer and data set)",
    )
    parameters.add(group, "optimizer")


def add_device(parser: argparse._ActionsContainer) -> None:
    """Where it is computed."""
    parser.add_argument("--device", metavar="NAME", default="auto", type=parsing.device, help="cpu, cuda, cuda:N, auto")


def add_display(parser: argparse._ActionsContainer) -> None:
    """How much is shown."""
    parser.add_argument("--quiet", action="store_true", help="only the last line")
    parser.add_argument("--json", action="store_true", help="only the result, as one JSON object")


def recipe_lines() -> str:
    """The defaults that depend on the data set, for help; sets with the same ones share lines."""
    shared: dict[Recipe, list[str]] = {}
    for name, recipe in RECIPES.items():
        shared.setdefault(recipe, []).append(name)
    for most, recipe in BY_SIZE.items():
        size = "more" if most is None else f"at most {most:,}"
        shared.setdefault(recipe, []).append(f"other sets and files, with {size} training samples")
    lines = ["defaults by data set (the learning rate is that of adam):"]
    for recipe, names in shared.items():
        lines += [
            f"  {', '.join(names)}",
            f"      --hidden {','.join(map(str, recipe.hidden))} --epochs {recipe.epochs} "
            f"--batch-size {recipe.batch_size} --learning-rate {recipe.learning_rate:g}",
        ]
    return "\n".join(lines)
