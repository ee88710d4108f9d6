"""How does the command line say what the library says? With its options, where that names arguments of Python."""

import re
from collections.abc import Callable

_Words = str | Callable[[re.Match[str]], str]


def _foreign(found: re.Match[str]) -> str:
    return f"--{found[3].replace('_', '-')}: {found[1]} {found[2]} has none. Leave it out."


_SAID: tuple[tuple[str, _Words], ...] = (
    (r"^(loss|optimizer) (\S+): it has no (\w+); allowed are .*$", _foreign),
    (
        r"^SGD: nesterov=True was given without momentum; give momentum",
        "--nesterov: it needs momentum; give --momentum",
    ),
    (r"^test_target \S+ was given without test,.*$", "--test-target: it needs --test, the file of the samples."),
    (r"^(\w+): samples (\S+) was given;", r"--samples: \2 was given with \1;"),
    (r"sample cannot be split in two; at least 2 are needed", "sample cannot be split in two; more are needed"),
    (r"\bUse stratify=False", "More samples of each are needed"),
    (r"\buse drop_last=True or another batch size", "use --drop-last or another --batch-size"),
    (r"\bdrop_last=True", "--drop-last"),
    (r"\bclip_norm=", "--clip-norm "),
    (
        r"^Trainer: clip_(norm|value) was given; (\w+) does not clip gradients",
        r"--clip-\1: \2 does not clip. Leave it out",
    ),
    (r'\b(text|ignore)=\["([^"]*)"\]', r"--\1 \2"),
    (r'\bimpute="mean", "median" or "most-frequent"', "--impute mean, median or most-frequent"),
    (r'\btask="(\w+)"', r"--task \1"),
    (r"\bGive image_size, as \((\d+), (\d+)\)", r"Give --image-size \1x\2"),
    (r"^data_dir: ", "--data-dir: "),
    (r"\bheader=True", "--header yes"),
    (r"\bheader=False", "--header no"),
    (r"\(separator=\)", "(--separator)"),
    (r"\(target=\)", "(--target)"),
    (r" \(data_dir=\)", ""),
)


def in_options(message: object) -> str:
    """The message of an error, with options of the command line for arguments of Python.

    >>> in_options("Try a smaller learning rate, or clip_norm=1.0.")
    'Try a smaller learning rate, or --clip-norm 1.0.'
    >>> in_options("optimizer adam: it has no momentum; allowed are learning_rate, betas, eps.")
    '--momentum: optimizer adam has none. Leave it out.'
    """
    text = str(message)
    for pattern, words in _SAID:
        text = re.sub(pattern, words, text)
    return text
