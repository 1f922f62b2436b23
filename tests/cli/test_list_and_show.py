"""``bench list``, ``bench show`` and the completion of names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer
from support.paths import PLUGINS
from typer.testing import CliRunner, Result

from benchbench.cli import list as list_
from benchbench.cli import show
from benchbench.errors import PluginError, SpecError
from benchbench.plugin.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

OPTIMIZERS = ["adam", "adamw", "lion", "muon", "rmsprop", "sgd", "timm"]
TINY = str(PLUGINS / "tiny.py")


@pytest.fixture(autouse=True)
def _one_cache_for_all(_own_folders: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(cache))


def bench(*words: str) -> Result:
    app = typer.Typer()
    list_.register(app)
    show.register(app)
    return CliRunner().invoke(app, words)


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the words of each line by the first of them."""
    return {words[0]: words for words in map(str.split, text.splitlines()) if words}


def test_list_shows_kind_name_summary_and_origin() -> None:
    lines = bench("list").stdout.splitlines()
    assert lines[1].split() == ["kind", "name", "summary", "origin"]
    alexnet = next(line for line in lines if "alexnet" in line)
    assert alexnet.split()[:2] == ["model", "alexnet"]
    assert alexnet.split()[-1] == "benchbench:alexnet"
    assert "Five convolutions" in alexnet


@pytest.mark.parametrize("word", ["model", "models", "Models"])
def test_list_takes_a_kind_in_singular_and_plural(word: str) -> None:
    text = bench("list", word).stdout
    assert "alexnet" in text
    assert "sgd" not in text


def test_list_knows_loose_files_by_option_and_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TINY in bench("list", "models", "--plugins", TINY).stdout.replace("\n", "")
    monkeypatch.setenv("BENCH_PLUGINS", TINY)
    assert "tiny" in bench("list", "models").stdout


def test_list_json_is_all_that_is_on_standard_output() -> None:
    result = bench("list", "optimizers", "--json", "--plugins", str(PLUGINS / "broken" / "import_error.py"))
    data = json.loads(result.stdout)
    assert [plugin["name"] for plugin in data["plugins"]] == OPTIMIZERS
    assert data["plugins"][0]["params"][0] == {
        "name": "lr",
        "type": "float",
        "default": 0.001,
        "limits": "> 0",
        "help": "learning rate",
    }
    assert data["broken"][0]["origin"].endswith("import_error.py")


def test_a_broken_plugin_is_mentioned_in_one_line_on_standard_error() -> None:
    file = str(PLUGINS / "broken" / "import_error.py")
    result = bench("list", "--plugins", file)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"broken: {file}: ModuleNotFoundError: No module named")
    assert line.endswith("; bench doctor")
    assert "import_error" not in result.stdout


def test_an_unknown_kind_suggests_the_closest_one() -> None:
    error = bench("list", "modles").exception
    assert isinstance(error, SpecError)
    assert error.message == "no kind of plugin is called 'modles'"
    assert error.hint == "did you mean 'model'?"


def test_show_tells_type_default_limits_help_origin_and_revision() -> None:
    text = bench("show", "optimizer", "sgd").stdout
    rows = table_rows(text)
    assert rows["momentum"][:6] == ["momentum", "float", "0.9", ">=", "0,", "<"]
    assert "fraction of the last step that is kept in the next" in text
    assert "--set optimizer.lr=VALUE" in text
    assert rows["origin:"] == ["origin:", "benchbench:sgd", "revision:", "1"]


def test_show_writes_none_as_it_is_typed() -> None:
    assert table_rows(bench("show", "model", "alexnet").stdout)["num_classes"][:6] == [
        "num_classes",
        "int",
        "|",
        "none",
        "none",
        ">=",
    ]


def test_show_says_where_a_dataset_is_downloaded_from() -> None:
    assert "tiny-imagenet-200.zip (248 MB)" in bench("show", "dataset", "tinyimage10").stdout


def test_show_of_a_plugin_without_parameters_says_so() -> None:
    plain = str(PLUGINS / "dropout.py")
    assert "no parameters" in bench("show", "model", "dropout", "--plugins", plain).stdout


def test_show_json_is_the_entry() -> None:
    data = json.loads(bench("show", "models", "alexnet", "--json").stdout)
    assert (data["kind"], data["name"], data["revision"]) == ("model", "alexnet", 1)
    assert [param["name"] for param in data["params"]] == ["dropout", "num_classes"]


def test_show_of_an_unknown_name_suggests_the_closest_one() -> None:
    error = bench("show", "model", "alexnett").exception
    assert isinstance(error, PluginError)
    assert error.hint.startswith("did you mean 'alexnet'?")


def test_show_of_a_misspelt_name_without_its_kind_suggests_one_too() -> None:
    error = bench("show", "alexnett").exception
    assert isinstance(error, SpecError)
    assert error.hint == "did you mean 'alexnet'?"


def test_output_without_a_terminal_has_no_color_codes() -> None:
    assert "\x1b" not in bench("show", "optimizer", "sgd").output


def complete(*words: str) -> list[str]:
    """Return what the shell would offer after these words, as bash asks for it."""
    program = "import sys\nfrom benchbench.cli.main import make_app\n"
    program += "try:\n    make_app()(prog_name='bench')\nfinally:\n"
    program += "    assert not {'torch', 'mlflow'} & set(sys.modules), 'heavy'\n"
    line = {
        "COMP_WORDS": " ".join(("bench", *words)),
        "COMP_CWORD": str(len(words)),
        "_BENCH_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=os.environ | line, capture_output=True, text=True, check=False
    )
    assert "heavy" not in done.stderr
    return done.stdout.split()


def test_the_shell_completes_kinds_and_names_without_torch() -> None:
    Catalog.read()
    assert complete("list", "mo") == ["models"]
    assert complete("show", "model", "al") == ["alexnet"]
    assert complete("show", "optimizers", "") == OPTIMIZERS


def test_the_shell_completes_the_last_of_several_names() -> None:
    Catalog.read()
    assert complete("time", "al") == ["alexnet"]
    assert complete("time", "alexnet,res") == ["alexnet,resnet"]
    assert complete("time", "alexnet", "digits", "--optimizer", "sgd,") == [
        f"sgd,{name}" for name in OPTIMIZERS if name != "sgd"
    ], "not sgd once more"


def test_listing_from_a_kept_catalog_imports_neither_torch_nor_mlflow() -> None:
    Catalog.read()
    program = (
        "import sys, typer\nfrom benchbench.cli import list as list_, show\napp = typer.Typer()\n"
        "list_.register(app)\nshow.register(app)\n"
        "app(['list'], standalone_mode=False)\nprint([name for name in ('torch', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert "alexnet" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
