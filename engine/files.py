"""How is a file written? Whole or not at all: what is read under its name is the old content or the new."""

import os
import secrets
import stat

from engine.errors import FileError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace a file as a whole, by another one beside it that takes its name when it is complete and on the disk.

    A symbolic link stays: what it leads to is replaced. A device or a pipe stays too: content goes straight into it.

    Raises:
        FileError: it cannot be written; nothing is left behind, and an older file of that name is as it was.
    """
    try:
        if _takes_content_directly(path):
            with open(path, "wb") as file:
                file.write(content)
        else:
            _replace(os.path.realpath(path), content)
    except OSError as error:
        raise not_written(path, error) from None


def _takes_content_directly(path: str | os.PathLike[str]) -> bool:
    """Whether something is there that is no file (a device, a pipe), so that nothing may take its place."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _replace(target: str, content: bytes) -> None:
    folder, name = os.path.split(target)
    partial = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the content is on the disk before the name points at it
        os.replace(partial, target)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def not_written(path: str | os.PathLike[str], error: OSError) -> FileError:
    """The error for a file that could not be written, with the system's reason."""
    problem = FileError(
        f"{os.fspath(path)}: could not be written: {error.strerror}. Free some space or name another place."
    )
    problem.errno = error.errno
    return problem
