"""Classes of any name on their way through MLflow's store and a report."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from support.commands import Bench
from support.odd_classes import ODD_CLASSES, write_images
from support.paths import PLUGINS

from benchbench.records.metrics import class_slugs

if TYPE_CHECKING:
    from pathlib import Path


class Texts(HTMLParser):
    """Collects the texts of a page's elements; scripts are none."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.by_tag: dict[str, set[str]] = {}
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._tag = tag

    def handle_data(self, data: str) -> None:
        self.by_tag.setdefault(self._tag, set()).add(data.strip())


@pytest.mark.slow
def test_every_class_is_found_again_in_the_store_and_in_the_report(tmp_path: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    bench = Bench(tmp_path, tmp_path / "cache")
    write_images(tmp_path)
    words = ("imagelist", "--data", "list.csv", "--plugins", PLUGINS / "tiny.py", "--set", "dataset.image_size=8")
    done = bench("run", "tiny", *words, "-e", 1, "-b", 8, "--json")
    assert done.returncode == 0, done.stderr
    accuracies = json.loads(done.stdout)["final"]["test_accuracy_per_class"]
    assert set(accuracies) == set(ODD_CLASSES)

    (run,) = bench.runs()
    classes = {f"test_accuracy/{slug}": name for name, slug in class_slugs(tuple(accuracies)).items()}
    stored = {key: value for key, value in run.data.metrics.items() if key.startswith("test_accuracy/")}
    assert {classes[key]: value for key, value in stored.items()} == accuracies

    reported = bench("report", "-o", "report.html")
    assert reported.returncode == 0, reported.stderr
    texts = Texts((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert texts.by_tag["th"] >= set(ODD_CLASSES)
    assert texts.by_tag["figcaption"] >= set(ODD_CLASSES)
    (numbered,) = [text for text in texts.by_tag["p"] if text.startswith("class ")]
    assert {entry.partition(": ")[2] for entry in numbered.split("; ")} == {"\N{DOG FACE}", "\u732b"}
