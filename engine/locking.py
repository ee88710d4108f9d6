"""Who writes into a folder? One process at a time, by a lock that ends with the process that holds it."""

import contextlib
import errno
import os
import sys

NAME = ".lock"  # the file in the folder; what is left of it by a process that was killed holds nobody up

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    _PLACE = 1 << 20  # of the byte that is locked: behind the text, which others may read

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _PLACE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class HeldError(Exception):
    """Another process writes into the folder.

    Attributes:
        who: "process 123", or "another process" where it is not known which.
    """

    def __init__(self, number: str) -> None:
        self.who = f"process {number}" if number else "another process"
        super().__init__(self.who)


class Lock:
    """Taken when it is made, held until `release` or the end of the process.

    Args:
        folder: where nobody else is to write; it exists.

    Raises:
        HeldError: another one holds it.
        OSError: no file can be made in the folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.path.join(folder, NAME))
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(descriptor)
            except OSError as error:
                held = error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
                number = os.read(descriptor, 32).decode("ascii", "replace").strip() if held else ""
                os.close(descriptor)
                if held:
                    raise HeldError(number) from None
                os.unlink(self.path)
                return  # a file system without locks: two processes there are the user's to keep apart
            if self._is(descriptor):
                self._descriptor = descriptor
            else:  # who held it took the file away just now
                os.close(descriptor)
        with contextlib.suppress(OSError):  # of a full disk others tell; this only tells people who holds it
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def _is(self, descriptor: int) -> bool:
        """Whether the file that was opened is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others write; the file goes."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):
            os.unlink(self.path)  # while it is still held: afterwards it might be another one's
        os.close(descriptor)


def holder(folder: str | os.PathLike[str]) -> str | None:
    """Who writes into a folder, such as "process 123"; None where nobody does."""
    if not os.path.exists(os.path.join(folder, NAME)):
        return None
    try:
        Lock(folder).release()
    except HeldError as held:
        return held.who
    except OSError:
        return None
    return None
