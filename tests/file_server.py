"""What can a server do wrong? A server of one file on this machine that plays a list of behaviours, one a request."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request, answered by the next behaviour of the list; the last one is repeated."""

    def do_GET(self):
        server = self.server
        with server.counting:
            number = len(server.asked)
            server.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        with contextlib.suppress(ConnectionError):  # whoever asked may be gone
            server.behaviours[min(number, len(server.behaviours) - 1)](self)
        self.close_connection = True

    def log_message(self, *arguments):
        pass

    def begin(self, status, length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send(self, content):
        self.wfile.write(content)
        self.wfile.flush()

    @property
    def content(self):
        wanted = self.server.content
        return wanted if isinstance(wanted, bytes) else wanted[self.path]

    def start(self):
        """Where the asked range begins."""
        asked = self.headers.get("Range")
        return 0 if asked is None else int(asked.removeprefix("bytes=").removesuffix("-"))


class Server(ThreadingHTTPServer):
    """``behaviours`` is what it does, ``asked`` what it was asked: (path, Range, If-Range)."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Request)
        self.content, self.behaviours, self.asked = content, [whole()], []
        self.counting, self.over = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def ranges(self):
        return [asked[1] for asked in self.asked]


@contextlib.contextmanager
def serving(content: bytes | dict[str, bytes]) -> Iterator[Server]:
    """A server of one content, or of one for each path."""
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


# -- behaviours ----------------------------------------------------------------------------------------


def whole(tag='"one"', ranges=True, end=None, pieces=1, wait=0.0, at_end=0.0, **headers) -> Behaviour:
    """As it should be, but for: no ranges, only until byte end, in pieces with waits, a wait where it ends."""

    def answer(request):
        start, size = request.start(), len(request.content)
        unchanged = request.headers.get("If-Range") in (None, tag)
        if start >= size and ranges:
            return request.begin(416, 0, Content_Range=f"bytes */{size}")
        if start and ranges and unchanged:
            extra = {"Content_Range": f"bytes {start}-{size - 1}/{size}"}
            request.begin(206, size - start, ETag=tag, **extra, **headers)
        else:
            start = 0
            request.begin(200, size, ETag=tag, **headers)
        rest = request.content[start:end]
        each = max(1, -(-len(rest) // pieces))
        for first in range(0, len(rest), each):
            request.send(rest[first : first + each])
            request.server.over.wait(wait)
        request.server.over.wait(at_end)

    return answer


def status(code, **headers) -> Behaviour:
    return lambda request: request.begin(code, 0, **headers)


def lying(difference) -> Behaviour:
    """Says another length than it sends; an answer that is cut to the length would hide a part of the file."""

    def answer(request):
        request.begin(200, len(request.content) + difference)
        request.send(request.content)

    return answer


def other(content) -> Behaviour:
    """Sends something else."""

    def answer(request):
        request.begin(200, len(content))
        request.send(content)

    return answer


def without_length(end=None) -> Behaviour:
    """Only the end of the connection ends the file."""

    def answer(request):
        request.begin(200)
        request.send(request.content[:end])

    return answer


def chunked(end=None) -> Behaviour:
    """In chunks; broken off after byte end."""

    def answer(request):
        request.protocol_version = "HTTP/1.1"
        request.begin(200, Transfer_Encoding="chunked")
        for first in range(0, len(request.content), 65536):
            block = request.content[first : first + 65536]
            request.send(b"%x\r\n" % len(block))
            if end is not None and first + len(block) > end:
                return request.send(block[: end - first])
            request.send(block + b"\r\n")
        request.send(b"0\r\n\r\n")

    return answer


def endless(request) -> None:
    request.begin(200)
    while not request.server.over.is_set():
        request.send(bytes(65536))


def garbage(request) -> None:
    request.send(b"no answer at all\r\n\r\n")


def nothing(request) -> None:
    """Closes the connection without a word."""


def silence(request) -> None:
    """Does not answer."""
    request.server.over.wait(20)
