"""How do I run the tests on a fresh machine? `python3 scripts/test.py`: sets up .venv, then runs pytest.

Further arguments are pytest's: `python3 scripts/test.py -k autodiff`.
"""

import os
import sys

import _setup

if __name__ == "__main__":
    os.chdir(str(_setup.ROOT))  # pytest finds its configuration and the tests from there
    sys.exit(_setup.main(["sklearn", "plots", "tables", "images", "test"], ["-m", "pytest", *sys.argv[1:]]))
