"""A dataset that a command looks at: what is said of the checksums of its files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from benchbench.driver.datasets import open_dataset
from benchbench.plugin.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
import benchbench as bb

class TwoFiles(bb.Dataset, name="two_files"):
    download = bb.Downloads("two_files", ({files}))

    def load(self, root):
        raise bb.DataError("not needed")

@bb.hookimpl
def benchbench_datasets():
    return [TwoFiles]
"""


SAID = {
    ("a.gz", "b.gz"): "size and MD5 of 2 of 2 files are as published",
    ("a.gz", "b"): "size and MD5 of 1 of 2 files are as published; none is known for the others",
    ("a", "b"): "none is known for files that were unpacked or packed anew",
}


def test_it_is_said_of_which_files_the_checksums_are_known(tmp_path: Path) -> None:
    md5 = hashlib.md5(b"images", usedforsecurity=False).hexdigest()
    files = ", ".join(f'bb.Download("http://localhost/{name}", "{name}", 6, "{md5}")' for name in ("a.gz", "b.gz"))
    plugin = tmp_path / "two_files.py"
    plugin.write_text(PLUGIN.format(files=files), encoding="utf-8")
    catalog = Catalog.read([plugin])
    for names, said in SAID.items():
        folder = tmp_path / "".join(names)
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"images")
        opened = open_dataset("two_files", catalog, plugin_files=[str(plugin)], data=[str(folder)])
        assert opened.check_archive() == said
