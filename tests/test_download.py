"""Does a published file arrive whole, whatever servers, disks and other processes do?"""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from file_server import (
    chunked,
    endless,
    garbage,
    lying,
    nothing,
    other,
    serving,
    silence,
    status,
    whole,
    without_length,
)

from engine.data.download import fetch
from engine.errors import DataError, FileError

CONTENT = np.random.Generator(np.random.PCG64(7)).bytes(300_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
WRONG = bytes(len(CONTENT))
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    """No proxy of the surroundings."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serving(CONTENT) as running:
        yield running


def get(addresses, path, **options):
    options = {"timeout": 10, "pause": 0.001} | options
    addresses = [addresses] if isinstance(addresses, str) else addresses
    fetch(addresses, path, options.pop("sha256", SUM), **options)
    return Path(path)


def left(folder):
    """What a download left behind."""
    return sorted(os.listdir(folder))


HALF, REST = len(CONTENT) // 2, f"bytes={len(CONTENT) // 2}-"
ARRIVES = {
    # name: behaviours, then the ranges that are asked for
    "at once": ([whole()], [None]),
    "without a length": ([without_length()], [None]),
    "in chunks": ([chunked()], [None]),
    "in chunks, broken off": ([chunked(end=HALF), whole()], [None, REST]),
    "dripping": ([whole(pieces=40, wait=0.01)], [None]),
    "labelled as compressed": ([whole(Content_Encoding="gzip")], [None]),
    "404, then well": ([status(404), whole()], [None, None]),
    "500, 503, then well": ([status(500), status(503), whole()], [None, None, None]),
    "no word, then well": ([nothing, whole()], [None, None]),
    "garbage, then well": ([garbage, whole()], [None, None]),
    "no answer, then well": ([silence, whole()], [None, None]),
    "a redirect": ([status(302, Location="/elsewhere"), whole()], [None, None]),
    "a redirect of the rest": ([whole(end=HALF), status(307, Location="/b"), whole()], [None, REST, REST]),
    "stalled, then the rest": ([whole(end=HALF, at_end=20), whole()], [None, REST]),
    "cut off, then the rest": ([whole(end=HALF), whole()], [None, REST]),
    "cut off, no ranges": ([whole(end=HALF), whole(ranges=False)], [None, REST]),
    "cut off, then changed": ([whole(end=HALF, tag='"old"'), whole(tag='"new"')], [None, REST]),
    "cut off, weak tag": ([whole(end=HALF, tag='W/"one"', Last_Modified="x"), whole(tag="x")], [None, REST]),
    "cut off, another range": (
        [whole(end=HALF), lambda request: request.begin(206, 9, Content_Range="bytes 1-9/300000"), whole()],
        [None, REST, None],
    ),
    "cut off, 206 without a range": ([whole(end=HALF), status(206), whole()], [None, REST, None]),
    "cut off, a shorter file": ([whole(end=HALF), status(416), whole()], [None, REST, None]),
    "a length above the true one": ([lying(100)], [None]),
}


@pytest.mark.parametrize("name", ARRIVES)
def test_a_file_arrives(server, tmp_path, name):
    server.behaviours, ranges = ARRIVES[name]
    timeout = 0.4 if name.startswith(("stalled", "no answer")) else 10
    path = get(server.url + "file.gz", tmp_path / "made" / "file.gz", size=len(CONTENT), timeout=timeout)
    assert path.read_bytes() == CONTENT
    assert server.ranges() == ranges
    assert left(path.parent) == ["file.gz"]


def test_the_rest_is_asked_for_with_what_the_server_called_the_file(server, tmp_path):
    server.behaviours = [whole(end=1000, tag='"a"'), whole(end=2000, tag='"a"'), whole(tag='"a"')]
    get(server.url, tmp_path / "f")
    assert [asked[2] for asked in server.asked] == [None, '"a"', '"a"']


FAILS = {
    "not there": ([status(404)], "127.0.0.1:[0-9]+ answered with 404", 3),
    "a redirect in a circle": (
        [status(302, Location="/f")],
        r"answered with 302 \(a redirect that leads nowhere\)",
        None,
    ),
    "a redirect without an address": ([status(302)], "answered with 302", 3),
    "a redirect to a file": ([status(302, Location="file:///etc/passwd")], "answered with 302", 3),
    "wrong bytes": (
        [other(WRONG)],
        f"sent other bytes than the published ones .SHA-256 [0-9a-f]{{12}}, not {SUM[:12]}",
        1,
    ),
    "a page": ([other(b"<html>Log in")], "sent other bytes than", 1),
    "a length below the true one": ([lying(-100_000)], "sent other bytes than", 1),
    "no length and not all": ([without_length(end=1000)], "broke off after 1,000 of 300,000 bytes", 3),
    "a longer file": ([other(WRONG * 9)], "sent other bytes than", 1),
    "too many bytes": ([endless], "sent other bytes than", 1),
    "always cut off at the same byte": ([whole(end=1000, ranges=False)], "broke off after 1,000 of 300,000 bytes", 3),
    "no answer": ([silence], "sent nothing for 0.1 s", 3),
    "garbage": ([garbage], "broke off \\(", 3),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_file_that_cannot_be_had(server, tmp_path, name):
    server.behaviours, message, asked = FAILS[name]
    with pytest.raises(DataError, match=f"^f could not be downloaded: .*{message}") as caught:
        get(server.url + "f", tmp_path / "f", size=len(CONTENT), timeout=0.1 if name == "no answer" else 10)
    assert "\n" not in str(caught.value)
    assert asked in (None, len(server.asked))
    assert not (tmp_path / "f").exists()


def test_nobody_there(tmp_path):
    with serving(CONTENT) as server:
        gone = server.url
    with pytest.raises(DataError, match=r"127\.0\.0\.1:[0-9]+ was not reached \([^)\n]+\)\.$"):
        get(gone + "f", tmp_path / "f")
    with pytest.raises(DataError, match="is no address"):
        get("f", tmp_path / "f")
    assert left(tmp_path) == []


def test_the_next_address_is_tried(server, tmp_path):
    with serving(WRONG) as wrong, serving(CONTENT) as closed:
        pass
    with serving(WRONG) as wrong:
        get([closed.url + "a", wrong.url + "b", server.url + "c"], tmp_path / "f")
        assert [asked[0] for asked in wrong.asked + server.asked] == ["/b", "/c"]


def test_another_address_sends_the_rest(server, tmp_path):
    with serving(CONTENT) as first:
        first.behaviours = [whole(end=1000)]
        get([first.url, server.url], tmp_path / "f")
    assert server.asked == [("/", "bytes=1000-", None)]


def test_wrong_bytes_in_what_was_begun_cost_a_new_start(server, tmp_path):
    (tmp_path / "f.partial").write_bytes(b"something else")
    assert get(server.url, tmp_path / "f").read_bytes() == CONTENT
    assert server.ranges() == ["bytes=14-", None]
    (tmp_path / "g.partial").write_bytes(CONTENT + b"more than there is")
    assert get(server.url, tmp_path / "g").read_bytes() == CONTENT
    assert server.ranges()[2:] == [f"bytes={len(CONTENT) + 18}-", None]


def test_what_is_here_is_not_asked_for(server, tmp_path):
    (tmp_path / "f").write_bytes(b"whatever")
    assert get(server.url, tmp_path / "f").read_bytes() == b"whatever"
    (tmp_path / "g.partial").write_bytes(CONTENT)  # a process that was stopped just before it gave the name
    assert get(server.url, tmp_path / "g").read_bytes() == CONTENT
    assert server.asked == []
    assert left(tmp_path) == ["f", "g"]


def test_a_line_that_breaks_often_gets_there(tmp_path):
    """As long as each attempt brings a mebibyte, the attempts are not counted."""
    large = CONTENT * 20
    with serving(large) as server:
        server.behaviours = [whole(end=end) for end in range(1_500_000, len(large), 1_500_000)] + [whole()]
        path = get(server.url, tmp_path / "f", sha256=hashlib.sha256(large).hexdigest(), rounds=1)
        assert len(server.asked) == 4
    assert path.read_bytes() == large


def test_progress_is_told(server, tmp_path):
    told = []
    server.behaviours = [whole(end=HALF), whole(pieces=3, wait=0.01)]
    get(server.url, tmp_path / "f", progress=lambda *given: told.append(given))
    assert {(name, total) for name, _, total in told} == {("f", len(CONTENT))}
    done = [one for _, one, _ in told]
    assert done == sorted(done)
    assert len(done) >= 4
    assert done[-1] == len(CONTENT)
    told.clear()
    server.behaviours = [without_length()]
    get(server.url, tmp_path / "g", progress=lambda *given: told.append(given))
    assert told[-1] == ("g", len(CONTENT), None)


def test_pauses_grow(server, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    server.behaviours = [status(503)]
    with pytest.raises(DataError):
        get(server.url, tmp_path / "f", rounds=4, pause=8.0)
    assert [round(pause / expected) for pause, expected in zip(waited, (8, 16, 32), strict=True)] == [1, 1, 1]


def test_a_proxy_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    get("http://files.invalid/one/f", tmp_path / "f")
    assert server.asked[0][0] == "http://files.invalid/one/f"


# -- disks ---------------------------------------------------------------------------------------------


def test_a_full_disk(server, tmp_path):
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, usual[1]))  # no file may grow beyond
    try:
        with pytest.raises(FileError, match=r"f: could not be written: File too large\. Free some space or") as caught:
            get(server.url, tmp_path / "f")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert caught.value.errno == errno.EFBIG
    assert get(server.url, tmp_path / "f").read_bytes() == CONTENT  # when there is space again: the rest
    assert server.ranges() == [None, "bytes=100000-"]


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        FileError, match=r"file/sub/f: could not be written: .*\. Free some space or name another place"
    ):
        get(server.url, tmp_path / "file" / "sub" / "f")
    (tmp_path / "f.partial").mkdir()
    with pytest.raises(FileError, match="f: could not be written: Is a directory"):
        get(server.url, tmp_path / "f")
    assert server.asked == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_read_only_folder(server, tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(FileError, match="could not be written: Permission denied"):
        get(server.url, tmp_path / "f")


# -- processes -----------------------------------------------------------------------------------------


def process(server, path):
    code = "import sys; from engine.data.download import fetch; fetch([sys.argv[1]], *sys.argv[2:], timeout=10)"
    command = [sys.executable, "-c", code, server.url, str(path), SUM]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(happened, seconds=30.0):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_of_two_processes_one_downloads(server, tmp_path):
    server.behaviours = [whole(pieces=20, wait=0.05)]
    both = [process(server, tmp_path / "f") for _ in range(2)]
    assert [(one.communicate(timeout=30), one.returncode) for one in both] == [(("", ""), 0)] * 2
    assert server.ranges() == [None]
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert left(tmp_path) == ["f"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_stopped_process_leaves_what_it_got(server, tmp_path, how):
    server.behaviours = [whole(end=HALF, at_end=20), whole()]
    first, partial = process(server, tmp_path / "f"), tmp_path / "f.partial"
    wait_for(lambda: partial.exists() and partial.stat().st_size == HALF)
    second = process(server, tmp_path / "f")  # waits; the lock goes with the first
    time.sleep(0.05)
    first.send_signal(getattr(signal, how))
    _, said = first.communicate(timeout=30)
    assert first.returncode == -getattr(signal, how)
    assert said.count("KeyboardInterrupt") == (how == "SIGINT")
    assert (second.communicate(timeout=30), second.returncode) == (("", ""), 0)
    assert server.ranges() == [None, REST]
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert left(tmp_path) == ["f"]
