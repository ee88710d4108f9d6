"""How does a published file get here? Whole and as published, or not at all; taken up where it broke off."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from engine.errors import DataError, FileError
from engine.files import not_written
from engine.locking import HeldError, Lock

Progress = Callable[[str, int, int | None], None]

_BLOCK = 1 << 18  # bytes asked for at once
_GAIN = 1 << 20  # so many new bytes from an address, and it is asked for the rest at once


class _FailedError(Exception):
    """An attempt that did not bring the file.

    then: what may help: "later", from the "start" (what had arrived was thrown away), or nothing ("never").
    """

    def __init__(self, reason: str, then: Literal["later", "start", "never"] = "later") -> None:
        super().__init__(reason)
        self.then = then


def fetch(
    addresses: Sequence[str],
    path: str | os.PathLike[str],
    sha256: str,
    *,
    size: int | None = None,
    progress: Progress | None = None,
    timeout: float = 20.0,
    rounds: int = 3,
    pause: float = 1.0,
) -> None:
    """Download a file, unless it is there: it appears under its name when its SHA-256 is right, never before.

    The addresses are tried in turn, in several rounds with growing pauses between them. What arrives is kept in a
    partial file beside the wanted one, also when this process is stopped, and the next call asks for what is left.
    Of several processes one downloads, the others wait for it. Proxies are those of the environment.

    Args:
        addresses: where the file is; the first is tried first.
        path: what it is to be called here; the folder is made.
        sha256: of the whole file, in hexadecimal.
        size: its number of bytes, where it is known: no more are read.
        progress: called as progress(file name, bytes so far, bytes in all or None).
        timeout: seconds without a byte, after which an attempt is given up.
        rounds: how often each address is tried.
        pause: seconds, about, before the second round; twice as many before each further one.

    Raises:
        DataError: no address has the file; with the last reason of each.
        FileError: it cannot be written here.
    """
    path = os.path.abspath(path)
    if os.path.exists(path):
        return
    with _alone(path):
        if os.path.exists(path):  # another process downloaded it in the meantime
            return
        with contextlib.closing(_Partial(path)) as partial:
            attempts = _Attempts(partial, sha256, size, progress, timeout)
            if not attempts.arrived():  # else a process was stopped just before the end
                attempts.go(addresses, rounds, pause)
            partial.complete()


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """While no other process downloads into the folder; the lock of one that was killed is gone with it."""
    folder = os.path.dirname(path)
    while True:
        try:
            os.makedirs(folder, exist_ok=True)
            lock = Lock(folder)
            break
        except HeldError:
            time.sleep(0.05)
        except OSError as error:
            raise not_written(path, error) from None
    try:
        yield
    finally:
        lock.release()


class _Attempts:
    """The attempts to get one file."""

    def __init__(
        self, partial: "_Partial", sha256: str, size: int | None, progress: Progress | None, timeout: float
    ) -> None:
        from urllib.request import build_opener  # slow to import, and seldom needed

        self.partial, self.sha256, self.size, self.progress, self.timeout = partial, sha256, size, progress, timeout
        self.name = os.path.basename(partial.path)
        self.opener = build_opener()  # made anew, so that the proxies are those of now

    def arrived(self) -> bool:
        """Whether all the bytes are there."""
        return self.partial.sha256() == self.sha256

    def go(self, addresses: Sequence[str], rounds: int, pause: float) -> None:
        """Until one attempt succeeds."""
        import random

        left, reasons = list(addresses), {}
        for number in range(rounds):
            if number and left:
                time.sleep(pause * 2 ** (number - 1) * random.uniform(0.75, 1.25))  # not all the world at once
            for address in list(left):
                failed = self._try(address)
                if failed is None:
                    return
                reasons[address] = str(failed)
                if failed.then == "never":
                    left.remove(address)
        said = "; ".join(f"{_host(address)} {reason}" for address, reason in reasons.items())
        raise DataError(f"{self.name} could not be downloaded: {said}.")

    def _try(self, address: str) -> _FailedError | None:
        """One attempt, and at once another where the rest is likely to come, or a new start may help."""
        best, fresh = self.partial.position, False
        while True:
            try:
                self._attempt(address)
                return None
            except _FailedError as failed:
                gained = self.partial.position >= best + _GAIN
                if not gained and (failed.then != "start" or fresh):
                    return failed
                fresh = fresh or failed.then == "start"
                best = max(best, self.partial.position)

    def _attempt(self, address: str) -> None:
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request

        headers = {"User-Agent": "chalkgrad", "Accept-Encoding": "identity", **self.partial.range(address)}
        try:
            with self.opener.open(Request(address, headers=headers), timeout=self.timeout) as response:
                self._take(address, response)
        except FileError:  # an OSError, but none of the network's
            raise
        except HTTPError as error:
            error.close()
            if error.code == 416 and self.partial.position:  # not so long: the bytes here are none of that file
                self.partial.restart()
                raise _FailedError("has another file than the one begun", "start") from None
            astray = " (a redirect that leads nowhere)" if error.code in (301, 302, 303, 307, 308) else ""
            raise _FailedError(f"answered with {error.code}{astray}") from None
        except URLError as error:  # no connection; to wait for one once is enough
            timed_out = isinstance(error.reason, TimeoutError)
            reason = "did not answer in time" if timed_out else f"was not reached ({_reason(error.reason)})"
            raise _FailedError(reason, "never" if timed_out else "later") from None
        except TimeoutError:
            raise _FailedError(f"sent nothing for {self.timeout:g} s") from None
        except (OSError, HTTPException) as error:
            raise _FailedError(f"broke off ({_reason(error)})") from None
        except ValueError as error:
            raise _FailedError(f"is no address ({_reason(error)})", "never") from None

    def _take(self, address: str, response: Any) -> None:
        """Read what an address answered with."""
        resumed = response.status == 206
        if resumed:
            found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != self.partial.position:
                self.partial.restart()
                raise _FailedError("answered with another part of the file", "start")
        else:
            self.partial.restart(address, response.headers)
        promised = None if response.length is None else self.partial.position + response.length
        total = promised if self.size is None else self.size
        while block := response.read1(_BLOCK):
            self.partial.write(block)
            if self.progress is not None:
                self.progress(self.name, self.partial.position, total)
            if self.size is not None and self.partial.position > self.size:
                break  # an endless answer must not fill the disk
        if self.arrived():
            return
        position, due = self.partial.position, self.size if promised is None else promised
        too_many = self.size is not None and position > self.size
        if due is not None and position < due and not too_many:
            raise _FailedError(f"broke off after {position:,} of {due:,} bytes")
        got = self.partial.sha256()
        self.partial.restart()
        reason = f"sent other bytes than the published ones (SHA-256 {got[:12]}, not {self.sha256[:12]})"
        raise _FailedError(reason, "start" if resumed else "never")


class _Partial:
    """What has arrived of a file, and what says later whether the server still has the same one."""

    def __init__(self, path: str) -> None:
        import hashlib

        self.path, self.partial, self.source = path, f"{path}.partial", f"{path}.partial.source"
        self.sum, self.position = hashlib.sha256(), 0
        with self._writing():
            open(self.partial, "ab").close()
            self.file = open(self.partial, "r+b", buffering=0)  # noqa: SIM115 - bytes are on the file when they are counted
            while block := self.file.read(_BLOCK):
                self.sum.update(block)
                self.position += len(block)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise not_written(self.path, error) from None

    def sha256(self) -> str:
        """Of the bytes so far."""
        return self.sum.hexdigest()

    def range(self, address: str) -> dict[str, str]:
        """The headers that ask for the rest; with a validator where this address gave one for what is here."""
        if not self.position:
            return {}
        known, validator = "", ""
        with contextlib.suppress(OSError, ValueError), open(self.source, encoding="utf-8") as file:
            known, validator = file.read().split("\n")
        return {"Range": f"bytes={self.position}-"} | (
            {"If-Range": validator} if known == address and validator else {}
        )

    def restart(self, address: str = "", headers: Any = None) -> None:
        """Throw away what is here, for what this address is about to send."""
        import hashlib

        tag = "" if headers is None else headers.get("ETag", "")
        # a weak tag does not promise the same bytes: it may not be asked with
        validator = tag if tag.startswith('"') else "" if headers is None else headers.get("Last-Modified", "")
        with self._writing():
            self.file.seek(0)
            self.file.truncate()
            with open(self.source, "w", encoding="utf-8", newline="\n") as file:
                file.write(f"{address}\n{validator}")
        self.sum, self.position = hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        """Add what came."""
        with self._writing():
            left = memoryview(block)
            while left:  # an unbuffered file may take a part; what it took counts, also when the disk is full then
                written = self.file.write(left)
                self.sum.update(left[:written])
                self.position += written
                left = left[written:]

    def complete(self) -> None:
        """Give the file its name."""
        with self._writing():
            os.fsync(self.file.fileno())  # the content is on the disk before the name points at it
            self.file.close()
            os.replace(self.partial, self.path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.source)

    def close(self) -> None:
        """Leave what is here for the next time; an empty file is none."""
        self.file.close()
        if not self.position:
            for path in (self.partial, self.source):
                with contextlib.suppress(OSError):
                    os.unlink(path)


def _host(address: str) -> str:
    return address.split("/")[2] if "//" in address else address


def _reason(error: object) -> str:
    """What an error says, in one line."""
    said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return " ".join(str(said).split())
