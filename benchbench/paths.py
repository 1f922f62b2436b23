"""The cache folder, a home folder for users without one, and files that are replaced atomically."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors that say that a disk is full, or a file too large."""

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Numbers of the errors that say that a file system has no locks, as some network drives."""

_LOCAL = frozenset({"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "overlay", "tmpfs", "xfs", "zfs"})
"""File systems of one machine."""

_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_PARTIAL = ".partial"


def cache_folder() -> Path:
    """Return the base of our caches: ``BENCH_CACHE``, or the user's cache folder; it need not exist."""
    folder = os.environ.get(variables.CACHE)
    if folder:
        return expanded(folder)
    import platformdirs

    ensure_home()
    return platformdirs.user_cache_path("benchbench")


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for ``~``; one of a user that there is not stays as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def ensure_home() -> None:
    """Give a user without a home one, in the folder for temporary files: MLflow looks for it when it is imported.

    Such users are common in containers that are started with a user id of their own.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_own_folder(Path(tempfile.gettempdir()) / f"benchbench-{os.getuid()}"))


def _own_folder(path: Path) -> Path:
    """Make the folder if needed and return it, or make another one if somebody else can write to it."""
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & _BY_OTHERS:
            return path
    return Path(tempfile.mkdtemp(prefix="benchbench-"))


def system_error(error: BaseException) -> OSError | None:
    """Return the system's error behind another: torch's zip writer raises its own while it handles a full disk."""
    return next((each for each in (error.__context__, error) if isinstance(each, OSError)), None)


def is_on_local_disk(path: Path) -> bool:
    """Tell whether a folder or file is on a disk that no other machine uses, as far as the system knows."""
    import psutil

    path = path.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if path.is_relative_to(mount.mountpoint)]
    return bool(mounts) and max(mounts, key=lambda mount: len(mount.mountpoint)).fstype in _LOCAL


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file: whoever reads it, now or after a crash, gets the old content or the new one, whole.

    The folder is made if it is not there. Raises :class:`OSError` and leaves the old file if that fails.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def create_whole(path: Path, content: bytes) -> None:
    """Make a file, whole or not at all; one that is there, even since a moment ago, is left alone."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_PARTIAL}")
    write_atomically(partial, content)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Tell whether a file is one that will take the place of another once it is whole."""
    return path.name.startswith(".") and path.suffix == _PARTIAL


@contextmanager
def replacing(path: Path, *, is_only_writer: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of ``path`` when the block ends without an error.

    With only one writer, the next process overwrites the partial file of one that was killed in the block. A symbolic
    link stays, and the file that it leads to is replaced.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id would not be unique: two containers may share the folder.
    partial = path.with_name(f".{path.name}{'' if is_only_writer else f'.{uuid.uuid4().hex[:8]}'}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            # A rename may otherwise survive a power cut that the content does not.
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
