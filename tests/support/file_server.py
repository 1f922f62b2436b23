"""A web server for one file, which can be told to misbehave."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class FileServer:
    """``cuts`` are the numbers of bytes after which the next connections are interrupted."""

    content: bytes
    url: str = ""
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    range_offset: int = 0
    asked_ranges: list[str | None] = field(default_factory=list)


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """Serve ``content`` on a free port of this machine."""
    files = FileServer(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    files.url = f"http://127.0.0.1:{server.server_port}/images.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(files: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            files.asked_ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and files.knows_ranges else 0
            status = files.statuses.pop(0) if files.statuses else 206 if start else 200
            if start and start >= len(files.content):
                status = 416
            self.send_response(status)
            if status == 206:
                first = start + files.range_offset
                self.send_header("Content-Range", f"bytes {first}-{len(files.content) - 1}/{len(files.content)}")
            body = files.content[start:] if status in (200, 206) else b"sorry"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: files.cuts.pop(0)] if files.cuts else body)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
