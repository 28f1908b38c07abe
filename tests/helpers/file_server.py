"""A server of files on this machine, which can break off, and knows ranges or not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `files` (bytes by path) on a free port of 127.0.0.1.

    `sends_at_most` breaks every answer off after so many bytes; `knows_ranges` says whether a Range
    header is heeded; `asked` lists the requests, each its path and its Range header.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.sends_at_most: int | None = None
        self.knows_ranges = True
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """Of its root."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.sends_at_most])

    def log_message(self, *_) -> None:
        """Say nothing."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Run a server as long as the context lasts."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
