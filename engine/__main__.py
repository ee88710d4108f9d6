"""What does `python -m engine` do? It runs the command line."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    try:
        from engine import commands  # here, so that an interruption while it loads is told as any other
    except KeyboardInterrupt:
        print("engine: interrupted.", file=sys.stderr)
        return 130
    return commands.main(argv)


if __name__ == "__main__":
    sys.exit(main())
