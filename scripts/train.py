"""How do I train on a fresh machine? `python3 scripts/train.py`: sets up .venv, then trains on the digits.

Further arguments are those of `python -m engine train`; `--data` given again replaces the digits.
"""

import sys

import _setup

if __name__ == "__main__":
    sys.exit(_setup.main(["sklearn", "plots"], ["-m", "engine", "train", "--data", "digits", *sys.argv[1:]]))
