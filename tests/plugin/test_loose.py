"""Loose plugin files and what lies beside them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

from benchbench.plugin.code import source_files
from benchbench.plugin.loose import load_file

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, **texts: str) -> Path:
    """Write modules; a double underscore in a name stands for a slash."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "mine.py"


def test_a_loose_file_may_import_its_neighbours_in_every_way(tmp_path: Path) -> None:
    mine = write(
        tmp_path,
        mine=(
            "import layers, nets.small\n"
            "import nets.small as small\n"
            "from nets.small import SIZE\n"
            "from .layers import DEPTH as depth\n"
            "values = (layers.DEPTH, nets.small.SIZE, small.SIZE, SIZE, depth)\n"
        ),
        layers="DEPTH = 1\n",
        nets__small="import layers\nfrom nets import sizes\nSIZE = sizes.SIZE + layers.DEPTH\n",
        nets__sizes="SIZE = 6\n",
    )
    (tmp_path / "nets" / "__init__.py").write_text("from layers import DEPTH\n")
    path, names = list(sys.path), set(sys.modules)
    assert load_file(mine).values == (1, 7, 7, 7, 1)
    assert sys.path == path
    assert all(name.startswith("benchbench.plugin.loose.") for name in set(sys.modules) - names)
    assert not list(tmp_path.rglob("__pycache__"))


def test_two_folders_may_each_have_a_neighbour_of_the_same_name(tmp_path: Path) -> None:
    files = [
        write(tmp_path / folder, mine="from layers import NAME", layers=f"NAME = {folder!r}") for folder in ("a", "b")
    ]
    assert [load_file(file).NAME for file in files] == ["a", "b"]


def test_a_neighbour_does_not_take_the_name_of_the_standard_library_or_of_benchbench(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="import json, benchbench\nfrom json import dumps", json="")
    module = load_file(mine)
    assert module.dumps([1]) == "[1]"
    assert module.benchbench is sys.modules["benchbench"]


def test_two_files_whose_names_differ_in_a_sign_are_two(tmp_path: Path) -> None:
    for name in ("my-net", "my_net", "my.net"):
        (tmp_path / f"{name}.py").write_text(f"NAME = {name!r}\n")
    assert [load_file(path).NAME for path in sorted(tmp_path.glob("*.py"))] == ["my-net", "my.net", "my_net"]


def test_a_neighbour_that_is_missing_is_named_as_any_missing_module(tmp_path: Path) -> None:
    mine = write(
        tmp_path, mine="try:\n    import layers\nexcept ModuleNotFoundError as error:\n    text = str(error)\n"
    )
    assert load_file(mine).text == "No module named 'layers'"


def test_a_changed_neighbour_is_read_anew(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="from layers import SIZE", layers="SIZE = 1")
    assert load_file(mine).SIZE == 1
    write(tmp_path, layers="SIZE = 2")
    assert load_file(mine).SIZE == 2


def test_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="import layers\n\ndef fail():\n    return layers.missing\n", layers="")
    assert load_file(mine).fail.__code__.co_firstlineno == 3


def test_the_sources_of_a_class_in_a_neighbour_are_those_of_its_folder(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="from nets.small import Net", nets__small="import layers\nclass Net: ...", layers="")
    (tmp_path / "nets" / "__init__.py").write_text("")
    names = {path.name for path in source_files(load_file(mine).Net)}
    assert names == {"small.py", "layers.py"}


def test_classes_of_a_loose_file_and_its_neighbours_can_be_unpickled_in_another_process(tmp_path: Path) -> None:
    mine = write(
        tmp_path,
        mine="import layers\nclass Mine:\n    layer = layers.Layer()\n",
        layers="class Layer:\n    size = 5\n",
    )
    module = load_file(mine)
    pickled = pickle.dumps([module.Mine(), module.layers.Layer()])
    code = f"import pickle; mine, layer = pickle.loads({pickled!r}); print(mine.layer.size, layer.size)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "5 5\n", done.stderr
