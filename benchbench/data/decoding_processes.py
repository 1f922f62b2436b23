"""Processes that decode image files for this one, whose threads would wait for Python's global lock.

Started as ``python -P -m benchbench.data.decoding_processes``. A helper reads one request per line, writes the
pixels of its images into the file of their split, and answers with the rows of those that it could not decode.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchbench.data.archive import reader
from benchbench.data.decoded_rows import write_pixels
from benchbench.data.image_decoding import decode
from benchbench.data.image_files import MAX_FILE_BYTES
from benchbench.processes import module_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.data.fit import Color
    from benchbench.plugin.dataset import Fit

MIN_IMAGES = 5000
"""Fewer images than this are decoded before helpers would have started."""

MIN_PROCESSORS = 4
"""More than threads alone keep busy: of the time for a photograph of 224x224, a quarter needs Python's lock."""


@dataclass(frozen=True)
class Request:
    """Files in a folder, the rows that they are in their split, and the file that the split's pixels go into."""

    folder: str
    paths: Sequence[str]
    rows: Sequence[int]
    side: int
    fit: Fit
    background: Color
    target: str
    header_bytes: int

    def carry_out(self) -> list[int]:
        """Decode the images; return the rows of those that cannot be decoded."""
        read = reader(Path(self.folder), max_file_bytes=MAX_FILE_BYTES)
        background = cast("Color", tuple(self.background))  # which JSON made a list
        failed = []
        with Path(self.target).open("r+b", buffering=0) as file:
            for row, path in zip(self.rows, self.paths, strict=True):
                try:
                    pixels = decode(read(path), side=self.side, fit=self.fit, background=background)
                except Exception:  # noqa: BLE001 - whatever it is, the process that asks tries again and tells of it
                    failed.append(row)
                else:
                    write_pixels(file.fileno(), pixels.data, self.header_bytes + row * pixels.nbytes)
        return failed


class Helpers:
    """A helper for each thread that asks for one; none if helpers would not pay off, or after one has died."""

    def __init__(self, num_images: int, num_threads: int) -> None:
        self._are_used = num_images >= MIN_IMAGES and num_threads >= MIN_PROCESSORS
        self._started: list[_Helper] = []
        self._own = threading.local()

    def decode(self, request: Request) -> Sequence[int]:
        """Have a helper decode images; return the rows of those that are left, which are all without a helper."""
        if not self._are_used:
            return request.rows
        try:
            if not hasattr(self._own, "helper"):
                self._own.helper = _Helper()
                self._started.append(self._own.helper)
            left: Sequence[int] = self._own.helper.ask(request)
        except (OSError, ValueError):  # it could not be started, or it has died: out of memory, or of disk
            self._are_used = False
            return request.rows
        return left

    def close(self) -> None:
        """End them. No thread may be asking."""
        for helper in self._started:
            helper.close()


class _Helper:
    def __init__(self) -> None:
        command = module_command("benchbench.data.decoding_processes")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours

    def ask(self, request: Request) -> list[int]:
        assert self._process.stdin is not None  # noqa: S101 - for mypy
        assert self._process.stdout is not None  # noqa: S101 - for mypy
        self._process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
        self._process.stdin.flush()
        left: list[int] = json.loads(self._process.stdout.readline())
        return left

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()


def main() -> None:
    """Carry out requests until the process that asks closes the pipe, or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all of us, and our parent decides
    # Whatever prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(Request(**json.loads(line)).carry_out()), file=answers, flush=True)


if __name__ == "__main__":
    main()
