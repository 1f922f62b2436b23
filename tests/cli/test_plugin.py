"""``bench plugin``: a plugin is begun, and checked, from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer
from support.commands import Bench
from support.paths import PLUGINS
from typer.testing import CliRunner

from benchbench.cli import main, plugin
from benchbench.cli.main import make_app
from benchbench.driver import plugin_check
from benchbench.errors import PluginError
from benchbench.protocol.plugin_check_messages import CheckOutcome, Report

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def call(*words: object) -> Result:
    return CliRunner().invoke(make_app(), [*map(str, words)])


@pytest.mark.slow
def test_checking_a_file_tells_of_all_its_plugins_and_what_is_wrong(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tmp_path / "cache")
    done = bench("plugin", "check", PLUGINS / "prints.py", "--json")
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    module, model = answer["reports"]
    assert (module["subject"], model["subject"]) == ("module", "model loud")
    failed = [
        outcome for report in answer["reports"] for outcome in report["outcomes"] if outcome["result"] == "failed"
    ]
    assert [(item["check"], item["problem"]) for item in failed] == [
        ("prints nothing", 'its import prints \'{"catalog": "mine"}\'')
    ]
    assert {"logits", "rebuilt in a worker"} <= {outcome["check"] for outcome in model["outcomes"]}


NARROW = """
from torch import nn

import benchbench as bb


class Narrow(bb.Model, name="narrow"):
    \"\"\"Takes grey images of 28x28, and no others.\"\"\"

    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 24 * 24, data.num_classes))


@bb.hookimpl
def benchbench_models():
    return [Narrow]
"""


@pytest.mark.slow
def test_a_model_is_checked_with_images_that_it_takes(tmp_path: Path) -> None:
    (tmp_path / "narrow.py").write_text(NARROW, encoding="utf-8")
    bench = Bench(tmp_path, tmp_path / "cache")
    done = bench("plugin", "check", "./narrow.py", "--image-size", 28, "--channels", 1)
    assert "all checks passed" in done.stdout, done.stdout + done.stderr
    assert bench("plugin", "check", "./narrow.py").returncode == 1


OVERLAPPING = """
import benchbench as bb
import torch


class Overlapping(bb.Dataset, name="overlapping"):
    \"\"\"One image of val is in train.\"\"\"

    image_size: int = bb.param(8, "pixels")

    def load(self, root):
        images = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        splits = (bb.Split(images[begin : begin + 100], torch.arange(100) % 2) for begin in (0, 99, 200))
        return bb.Splits(*splits, ("a", "b"))


@bb.hookimpl
def benchbench_datasets():
    return [Overlapping]
"""


@pytest.mark.slow
def test_images_in_two_splits_are_counted_although_a_few_pass(tmp_path: Path) -> None:
    (tmp_path / "overlapping.py").write_text(OVERLAPPING, encoding="utf-8")
    done = Bench(tmp_path, tmp_path / "cache")("plugin", "check", "./overlapping.py", "--data", tmp_path, COLUMNS="120")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"disjoint splits +passed +1 of 100 val images are in train as well", done.stdout)


@pytest.mark.slow
def test_a_shipped_plugin_passes_by_name(tmp_path: Path) -> None:
    done = Bench(tmp_path, tmp_path / "cache")("plugin", "check", "cosine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout
    assert "next: bench run alexnet digits --epochs 2 --scheduler cosine" in done.stdout


@pytest.mark.slow
def test_the_fixture_of_pytest_fails_with_what_is_wrong(tmp_path: Path) -> None:
    test = f"def test_it(check_plugin):\n    check_plugin({str(PLUGINS / 'prints.py')!r})\n"
    (tmp_path / "test_mine.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "prints nothing: its import prints" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("code", [7, 0])
def test_a_plugin_that_ends_python_is_reported(code: int, tmp_path: Path) -> None:
    path = tmp_path / "ends.py"
    path.write_text(f"import os\n\nos._exit({code})\n", encoding="utf-8")
    result = call("plugin", "check", path, "--json")
    assert result.exit_code == 1
    [report] = json.loads(result.output)["reports"]
    assert report["subject"].startswith("the import of")
    assert f"exit code {code}" in report["outcomes"][0]["problem"]


@pytest.mark.parametrize(
    ("word", "message"),
    [("alexnett", "no plugin or package is called 'alexnett'"), ("./nowhere.py", "no plugin file or folder")],
)
def test_a_word_that_means_nothing_is_a_mistake_of_the_user(word: str, message: str) -> None:
    result = call("plugin", "check", word)
    assert result.exit_code == 2
    assert message in result.output


def test_a_folder_without_plugins_is_not_called_well(workdir: Path) -> None:
    (workdir / "mine").mkdir()
    (workdir / "mine" / "_hidden.py").touch()
    result = call("plugin", "check", "mine")
    assert result.exit_code == 2
    assert "there is nothing to check in mine" in result.output


def test_a_path_of_images_for_another_dataset_is_refused(workdir: Path) -> None:
    result = call("plugin", "check", "digits", "--data", f"digit={workdir}")
    assert result.exit_code == 2
    assert "there is no dataset 'digit'" in result.output


def test_help_is_there_without_the_plugins_that_a_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_PLUGINS", "gone.py")
    main._add_plugin_commands(make_app(), ["--help"])
    with pytest.raises(PluginError, match=r"no plugin file or folder 'gone\.py'"):
        main._add_plugin_commands(make_app(), ["unknown"])


def test_a_new_package_is_written_with_what_to_do_next(workdir: Path) -> None:
    result = call("plugin", "new", "models", "my-net")
    assert result.exit_code == 0, result.output
    assert "pip install -e 'benchbench-my-net[test]'" in result.output
    assert (workdir / "benchbench-my-net" / "pyproject.toml").exists()
    assert call("plugin", "check", "benchbench-my-net").exit_code == 2


@pytest.mark.slow
def test_a_new_file_is_one_file_that_can_be_used_at_once(workdir: Path) -> None:
    result = call("plugin", "new", "model", "my-net", "--file")
    assert result.exit_code == 0, result.output
    (path,) = workdir.iterdir()
    assert result.output.splitlines()[:2] == [f"wrote {path.name}", f"  bench plugin check {path.name}"]
    assert " my-net " in call("list", "models", "--plugins", path).output


@pytest.mark.parametrize("words", [("--no-plugins", "list", "models"), ("list", "--no-plugins", "models")])
def test_no_plugins_may_stand_before_and_after_the_command(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_PLUGINS", str(PLUGINS / "tiny.py"))
    names = [line.split()[1] for line in call(*words).output.splitlines() if line.startswith(" model")]
    assert "alexnet" in names
    assert "tiny" not in names


@pytest.mark.slow
def test_two_plugins_of_one_name_are_both_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_PLUGINS", str(PLUGINS / "clash.py"))
    names = [line.split()[1] for line in call("list", "models").output.splitlines() if line.startswith(" model")]
    assert {"alexnet", "clash.py:alexnet"} <= set(names)


def test_the_last_lines_of_a_check_are_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = (
        CheckOutcome("builds", "failed", "build() returns nothing", "add a return statement"),
        CheckOutcome("name", "passed"),
        CheckOutcome("logits", "skipped", "it needs: builds"),
    )
    reports = (Report("model good", "", (CheckOutcome("builds", "passed"),)), Report("model bad", "", outcomes))
    monkeypatch.setattr(plugin_check, "check_plugins", lambda *_, **__: reports)
    with pytest.raises(typer.Exit):
        plugin.check_plugin(words=["bad"])
    *rows, last = (line for line in capsys.readouterr().out.splitlines() if line.strip())
    assert [row.split()[0] for row in rows[-3:]] == ["logits", "name", "builds"]
    assert last == "1 check failed: model bad: builds"
