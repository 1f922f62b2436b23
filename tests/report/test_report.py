"""The report of made trials: what it says, and that nothing in it is more than text."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support import journals
from support.command_options import options_of
from support.made_records import ended, events, made, spec
from support.seen_images import keep_seen

from benchbench.compare import compare_records
from benchbench.compare.groups import ComparedGroup
from benchbench.config.compare_section import read_comparison
from benchbench.config.spec import SCALARS, scalars_of
from benchbench.errors import BenchError, SpecError
from benchbench.plugin.dataset import Split, Splits
from benchbench.records.events import Error
from benchbench.records.record import MlflowRun, Record
from benchbench.report import chart_style, drawing, embedded_images, facts, page, report_tables
from benchbench.report.class_accuracy import class_table
from benchbench.report.subject import Subject
from benchbench.report.trial_files import TrialFiles
from benchbench.worker.artifacts import write_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def subject(records: Sequence[Record], folder: Path, *, question: str = "Which rate?", grid_file: str = "") -> Subject:
    trials = tuple(TrialFiles(record, folder / record.attempt) for record in records)
    comparison = compare_records(records)
    groups = (ComparedGroup("", tuple(records), comparison),)
    return Subject(
        experiment="bench",
        headline=question,
        comparison=comparison,
        trials=trials,
        grid_file=grid_file,
        groups=groups,
    )


def keep(folder: Path, class_names: tuple[str, ...], *, num_channels: int = 3) -> None:
    """Write what a full run keeps of eight test images a class, every third of them taken for another."""
    numbers = torch.arange(8 * len(class_names)) % len(class_names)
    split = Split(torch.full((len(numbers), num_channels, 8, 8), 7, dtype=torch.uint8), numbers)
    said = (numbers + (torch.arange(len(numbers)) % 3 == 0)) % len(class_names)
    probabilities = torch.eye(len(class_names))[said]
    write_predictions(folder, probabilities, Splits(split, split, split, class_names), level="full")
    keep_seen(folder, class_names, num_channels=num_channels)


@pytest.fixture
def two_rates(tmp_path: Path) -> Subject:
    """Two rates of two seeds, of which the second is better, and a trial that failed."""
    accuracies = {(0.1, 0): 0.5, (0.1, 1): 0.52, (0.2, 0): 0.78, (0.2, 1): 0.81}
    records = [made(spec(seed, lr=lr), accuracy) for (lr, seed), accuracy in accuracies.items()]
    error = Error(kind="NonFiniteLossError", message="train loss became nan", hint="")
    failed = replace(ended(spec(2, lr=0.2), "failed"), error=error)
    keep(tmp_path / records[3].attempt, journals.CLASSES)
    return subject([*records, failed], tmp_path)


class Reader(HTMLParser):
    """Collects the tags of a page with what they have, and the texts of its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.json = ""
        self._is_json = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._is_json = tag == "script" and dict(attrs).get("type") == "application/json"

    def handle_data(self, data: str) -> None:
        if self._is_json:
            self.json += data


def texts(row: tuple[report_tables.SortableCell, ...]) -> list[str]:
    return [cell.text for cell in row]


def test_the_question_and_the_verdicts_come_before_everything_else(two_rates: Subject) -> None:
    text = page.render(two_rates)
    parts = ("<h1>Which rate?</h1>", "too few seeds: n = 2", 'id="trials"', 'id="chart-curves"')
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_the_intervals_of_each_group_are_drawn_below_its_heading(tmp_path: Path) -> None:
    tried = [(lr, seed, 0.5 + lr * (1 + seed**2 / 10)) for lr in (0.1, 0.2) for seed in range(3)]
    squares = [made(spec(seed, lr=lr), accuracy) for lr, seed, accuracy in tried]
    other = replace(journals.SPEC.dataset, name="circles")
    circles = [made(spec(seed, lr=lr, dataset=other), accuracy) for lr, seed, accuracy in tried]
    records = squares + circles
    groups = tuple(
        ComparedGroup(name, tuple(part), compare_records(part))
        for name, part in (("dataset=squares", squares), ("dataset=circles", circles))
    )
    text = page.render(replace(subject(records, tmp_path), groups=groups))
    parts = (">dataset=squares<", 'id="chart-intervals-0"', ">dataset=circles<", 'id="chart-intervals-1"', "<svg")
    assert all(part in text for part in parts)
    assert [text.index(part) for part in parts[:4]] == sorted(text.index(part) for part in parts[:4])
    assert "test_accuracy, difference from optimizer.lr=0.1 in points" in text


def test_runs_on_a_server_are_links_to_their_pages(tmp_path: Path) -> None:
    here, there = made(spec(0)), made(spec(1))
    here = replace(here, mlflow=MlflowRun("sqlite:///mlflow.db", "1", "a" * 32))
    there = replace(there, mlflow=MlflowRun("http://localhost:5000", "1", "b" * 32))
    links = {
        value
        for tag, attributes in Reader(page.render(subject([here, there], tmp_path))).tags
        for name, value in attributes.items()
        if tag == "a" and name == "href" and value and not value.startswith("#")
    }
    assert links == {f"http://localhost:5000/#/experiments/1/runs/{'b' * 32}"}


def test_trials_are_sorted_by_validation_with_the_best_marked_and_failed_ones_last(two_rates: Subject) -> None:
    table = report_tables.trial_table(two_rates)
    assert table.caption.startswith("5 trials: 4 finished, 1 failed.")
    assert [row[0].text for row in table.rows] == ["1 *", "2", "3", "4", "5"]
    assert texts(table.rows[0])[1:5] == ["0.2", "1", "finished", "81.0%"]
    assert "failed: train loss became nan" in texts(table.rows[-1])


def test_nothing_that_a_user_names_becomes_a_tag(tmp_path: Path) -> None:
    class_names = (EVIL, "bullfrog", "Persian cat")
    told = events(spec(0))
    told[0] = journals.started(class_names=class_names)
    told[-1] = journals.finished(class_names=class_names)
    record = Record.of(told)
    failed = replace(ended(spec(1), "failed"), error=Error(kind="E", message=EVIL))
    keep(tmp_path / record.attempt, class_names)
    text = page.render(subject([record, failed], tmp_path, question=EVIL, grid_file=EVIL))
    assert "<script>alert" not in text
    reader = Reader(text)
    assert not any("onerror" in attributes for _, attributes in reader.tags)
    assert len([tag for tag, _ in reader.tags if tag == "script"]) == 2
    assert f"<title>{EVIL.replace('<', '&lt;').replace('>', '&gt;')}, predicted as" in text


def test_the_page_refers_to_no_other_file_and_forbids_connections(two_rates: Subject) -> None:
    reader = Reader(page.render(two_rates))
    addresses = [
        value
        for _, attributes in reader.tags
        for name, value in attributes.items()
        if name in ("src", "href") and value
    ]
    assert addresses
    assert {re.match("data:image/webp|#", address) is not None for address in addresses} == {True}
    (policy,) = [attributes["content"] for _, attributes in reader.tags if "http-equiv" in attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def sheets(subject: Subject) -> list[str]:
    """Return what the sheets of images as the network saw them are of."""
    tags = Reader(page.render(subject)).tags
    return [(attributes["alt"] or "").split()[0] for _, attributes in tags if attributes.get("class") == "sheet"]


def test_each_split_has_a_sheet_of_images_as_the_network_saw_them(two_rates: Subject) -> None:
    assert sheets(two_rates) == ["training", "validation", "test"]


def test_runs_that_kept_training_images_alone_have_one_sheet(two_rates: Subject) -> None:
    assert two_rates.best
    path = two_rates.artifacts(two_rates.best) / "seen.npz"
    with np.load(path) as seen:
        np.savez(path, class_names=seen["class_names"], images=seen["images"], labels=seen["labels"])
    assert sheets(two_rates) == ["training"]
    assert "never augmented" not in page.render(two_rates)


def test_images_with_a_label_that_no_class_has_are_damage_in_one_line(two_rates: Subject) -> None:
    assert two_rates.best
    path = two_rates.artifacts(two_rates.best) / "seen.npz"
    with np.load(path) as seen:
        np.savez(path, **dict(seen.items()) | {"labels": seen["labels"] + 1000})
    with pytest.raises(BenchError, match=r"seen\.npz that a run keeps is damaged"):
        page.render(two_rates)


def test_losses_that_are_no_numbers_leave_gaps_in_the_curves(tmp_path: Path) -> None:
    told = [*events(spec(0))[:2], journals.NAN_EPOCH, journals.failed()]
    text = page.render(subject([made(spec(1)), Record.of(told)], tmp_path))
    lines = [attributes["d"] for tag, attributes in Reader(text).tags if tag == "path"]
    assert lines
    assert not any("nan" in (line or "").lower() for line in lines)


def test_a_report_is_made_of_trials_that_keep_no_files(tmp_path: Path) -> None:
    text = page.render(subject([made(spec(0)), made(spec(1))], tmp_path))
    assert 'id="chart-confusion"' not in text
    assert "Training images" not in text
    assert "as the network saw them" not in text


def test_classes_have_student_intervals_over_seeds_and_wilsons_over_images(tmp_path: Path) -> None:
    final = journals.finished().final
    records = [replace(made(of), final=final) for of in (spec(0), spec(1), spec(0, lr=0.2))]
    other = replace(final, test_accuracy_per_class={"goldfish": 0.25, "bullfrog": 1 / 3})
    records[0] = replace(records[0], final=other)
    for record in records:
        keep(tmp_path / record.attempt, journals.CLASSES)
    table = class_table(subject(records, tmp_path))
    assert table.class_names == journals.CLASSES
    assert table.images == (8, 8, 8)
    seeds, single = table.columns
    assert [cell.method for cell in seeds] == ["t", "Wilson", "Wilson"]
    # Of 0 and 25 %: 12.5 ± 12.706 x 17.68 / sqrt(2), as far as there are such fractions.
    assert (seeds[0].low, seeds[0].high) == pytest.approx((0.0, 1.0), abs=1e-3)
    assert 0 <= seeds[0].low < seeds[0].high <= 1
    # Wilson, of 0 in 8: 1.96 ** 2 / (8 + 1.96 ** 2).
    assert (single[0].low, single[0].high) == (0.0, pytest.approx(0.3244, abs=1e-4))
    assert single[0].text == "0.0 % (0.0 .. 32.4, Wilson)"


def test_accuracies_by_class_are_of_the_seeds_that_learned_as_in_the_comparison(tmp_path: Path) -> None:
    records = [made(spec(seed), accuracy) for seed, accuracy in enumerate((0.75, 0.76, 0.74, 0.34))]
    stuck = records[3].final
    assert stuck
    goldfish_alone = {name: float(name == "goldfish") for name in stuck.test_accuracy_per_class}
    records[3] = replace(records[3], final=replace(stuck, test_accuracy_per_class=goldfish_alone))
    (column,) = class_table(subject(records, tmp_path)).columns
    assert records[0].final
    assert [cell.accuracy for cell in column] == list(records[0].final.test_accuracy_per_class.values())
    (column,) = class_table(subject(records[3:], tmp_path)).columns
    assert [cell.accuracy for cell in column] == list(goldfish_alone.values())


@pytest.mark.parametrize(("accuracy", "criterion"), [(0.75, "learned"), (0.4, "predicted several classes")])
def test_accuracies_by_class_say_of_which_seeds_they_are(tmp_path: Path, accuracy: float, criterion: str) -> None:
    one_row = subject([made(spec(seed), accuracy) for seed in range(3)], tmp_path)
    caption = report_tables.class_cells(class_table(one_row), one_row).caption
    assert f"over the seeds that {criterion}, if any did." in caption


def test_a_class_that_two_datasets_have_has_no_single_number_of_images(tmp_path: Path) -> None:
    other = replace(journals.SPEC.dataset, name="circles")
    records = [made(spec(0)), made(spec(0, dataset=other))]
    for record, repeats in zip(records, (1, 2), strict=True):
        keep(tmp_path / record.attempt, journals.CLASSES)
        path = tmp_path / record.attempt / "per_class.csv"
        path.write_text(path.read_text(encoding="utf-8").replace(",8,", f",{8 * repeats},"), encoding="utf-8")
    assert class_table(subject(records, tmp_path)).images == (None, None, None)


def test_each_of_many_configurations_is_drawn_in_its_own_way() -> None:
    assert len({(chart_style.color(number), chart_style.dashes(number)) for number in range(24)}) == 24


def test_a_name_in_quotation_marks_can_be_pressed_in_the_legend_too() -> None:
    drawn = drawing.Figure(figsize=(2, 2))
    (line,) = drawn.subplots().plot([0, 1])
    drawing.mark(line, 'a "12 inch" record', series=3)
    assert 'data-series="3"' in drawing.to_svg(drawn, "test")


def test_a_class_without_images_has_no_value(tmp_path: Path) -> None:
    record = made(spec(0))
    assert record.final
    record = replace(record, final=replace(record.final, test_accuracy_per_class={"goldfish": 1.0}))
    (column,) = class_table(subject([record], tmp_path)).columns
    assert column[1].text == "no value"
    assert math.isnan(column[1].accuracy)


def test_what_differs_between_trials_includes_machine_and_packages(tmp_path: Path) -> None:
    first, second = made(spec(0)), made(spec(0))
    second = replace(second, machine=replace(second.machine, versions={"python": "3.13.0"}))
    for record, version in ((first, "1.0"), (second, "2.0")):
        (tmp_path / record.attempt).mkdir()
        text = json.dumps({"installed": [f"scales=={version}", "same==3"]})
        (tmp_path / record.attempt / "environment.json").write_text(text, encoding="utf-8")
    known = [facts.trial_facts_of(record, tmp_path / record.attempt) for record in (first, second)]
    assert facts.differing(known) == ("version of python", "version of torch", "installed scales")
    common = facts.common(known)
    assert common["hostname"] == "testhost"
    assert "installed same" not in common


def test_what_differs_between_trials_includes_the_machine_that_one_was_resumed_on(tmp_path: Path) -> None:
    here, moved = made(spec(0)), made(spec(0))
    elsewhere = replace(here.machine, hostname="elsewhere", versions=here.machine.versions | {"torch": "9.9"})
    moved = replace(moved, resumed_on=(elsewhere, here.machine), notes=("resumed with other code",))
    known = [facts.trial_facts_of(record, tmp_path) for record in (here, moved)]
    assert facts.differing(known) == ("hostname", "version of torch", "notes")
    assert [each["hostname"] for each in known] == ["testhost", "testhost, then elsewhere"]
    assert known[1]["version of torch"] == "2.14.1, then 9.9"
    assert known[1]["notes"] == "resumed with other code"


def test_the_command_that_repeats_a_trial_has_every_parameter_and_its_plugin_files(tmp_path: Path) -> None:
    record = made(spec(3, lr=0.25))
    (tmp_path / "spec.toml").write_text(record.spec.to_toml(plugins=("/plug ins/mine.py",)), encoding="utf-8")
    command = facts.run_command(record, tmp_path)
    assert command.startswith("bench run alexnet squares --optimizer sgd --scheduler constant --augment flip")
    assert "--set 'dataset.mean=[0.5]' --set dataset.image_size=16 --set augmentation.p=0.5" in command
    assert "--set model.num_classes=none --set loss.label_smoothing=0.0 --set loss.class_weights=none" in command
    assert "--set loss.class_weights=none --set optimizer.lr=0.25" in command
    assert command.endswith("--epochs 3 --batch-size 12 --seed 3 --precision fp32 --plugins '/plug ins/mine.py'")


def test_the_command_that_repeats_a_trial_has_every_setting_as_an_option_of_bench_run(tmp_path: Path) -> None:
    changed = made(spec(3, ema_decay=0.99, select="best_val"))
    words = facts.run_command(changed, tmp_path).split()
    given = dict(zip(words[4::2], words[5::2], strict=True))
    options = options_of("run")
    settings = {options[flag]: value for flag, value in given.items() if options[flag] in SCALARS}
    assert settings == {name: str(value) for name, value in scalars_of(changed.spec).items()}


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("/home/ann/my photos", "--data '/home/ann/my photos'"),
        ("/home/ann/benchbench/data/photos", "--data /home/ann/benchbench/data/photos"),
        ("/home/ann/.cache/benchbench/data/squares.zip", ""),
        ("/home/ann/.cache/benchbench/data/cifar/images", ""),
        ("benchbench_plugins.digits", ""),
        ("my photos", ""),
    ],
)
def test_the_commands_name_images_that_were_not_downloaded(
    source: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / ".cache" / "benchbench"))
    record = made(spec(0))
    record = replace(record, data=replace(record.data, source=source))
    assert facts.run_command(record, tmp_path).partition(" --precision fp32")[2].strip() == option
    reported = subject([record], tmp_path, grid_file="rates.toml")
    of_grid = page._grid_command(reported, page._image_folders(reported))
    assert of_grid.partition("rates.toml")[2].strip() == option.replace("/home", "squares=/home")


def test_images_of_several_files_have_no_name_in_the_command_of_a_grid(tmp_path: Path) -> None:
    records = [made(spec(seed)) for seed in range(2)]
    records = [
        replace(record, data=replace(record.data, source=f"/home/ann/{record.spec.seed}.npz")) for record in records
    ]
    text = page.render(subject(records, tmp_path, grid_file="rates.toml"))
    assert "bench grid rates.toml</code>" in text
    told = "The images of squares came from several files or folders: repeat the grid with"
    assert told in text
    assert told not in page.render(subject(records, tmp_path)), "there is no grid to repeat"


def test_the_commands_of_imported_trials_are_said_to_lack_paths(tmp_path: Path) -> None:
    record = made(spec(0))
    origins = {"a" * 32: True, "": False}
    for origin_id, is_imported in origins.items():
        of_run = replace(record, mlflow=MlflowRun("sqlite:///mlflow.db", "1", "b" * 32, origin_id))
        text = page.render(subject([of_run], tmp_path))
        assert ("Imported trials do not have the paths of their files" in text) == is_imported


def test_a_report_that_cannot_be_made_leaves_the_old_one(two_rates: Subject, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    broken = replace(two_rates, trials=two_rates.trials[:1])
    with pytest.raises(SpecError):
        page.write_report(broken, path)
    assert path.read_text(encoding="utf-8") == "old"
    page.write_report(two_rates, path)
    assert 100_000 < path.stat().st_size < 2_000_000
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["report.html"]


@pytest.mark.parametrize(("shape", "size"), [((1, 8, 8), (8, 8)), ((5, 8, 8), (8, 8)), ((3, 300, 150), (64, 128))])
def test_images_in_the_page_are_whole_and_not_larger_than_they_need_be(
    shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    import base64
    import io

    from PIL import Image

    image = np.zeros(shape, np.uint8)
    image[:, 0, 0] = 255
    kind, _, data = embedded_images.address(image).partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as found:
        assert found.size == size
        if shape[1] == 8:
            assert np.array_equal(np.asarray(found.convert("L")), image[0])


def test_trials_on_images_that_changed_are_rows_of_their_own_everywhere(tmp_path: Path) -> None:
    before = [made(spec(seed), 0.5) for seed in range(2)]
    after = [
        replace(record, data=replace(record.data, digest="e" * 64), data_digest="e" * 64)
        for record in (made(spec(seed), 0.7) for seed in range(2))
    ]
    told = subject(before + after, tmp_path)
    assert told.names == ("all trials, images dddddddd", "all trials, images eeeeeeee")
    assert [len(configuration.trials) for configuration in told.configurations] == [2, 2]
    assert [cell.text for cell in report_tables.time_table(told).rows[0][:2]] == [told.names[0], "2"]
    assert len(set(map(told.trial_name, told.records))) == 4


def test_short_times_are_not_printed_as_0(tmp_path: Path) -> None:
    quick = [
        replace(record, epochs=tuple(replace(epoch, train_seconds=seconds) for epoch in record.epochs))
        for record, seconds in ((made(spec(0), seconds=0.012), 0.0040), (made(spec(1), seconds=0.018), 0.0046))
    ]
    told = subject(quick, tmp_path)
    assert report_tables.time_table(told).rows[0][-1].text == "0.00430 ± 0.00042"
    assert [row[-2].text for row in report_tables.trial_table(told).rows] == ["0.0040", "0.0046"]
    assert [row[-3].text for row in report_tables.trial_table(told).rows] == ["0.012", "0.018"]
    slow = subject([made(spec(0))], tmp_path)
    assert report_tables.trial_table(slow).rows[0][-3].text == "4.50"


def test_times_of_several_machines_are_pointed_out_though_nobody_asked_for_times(tmp_path: Path) -> None:
    fast = replace(journals.MACHINE, device="cuda", device_name="A GPU")
    records = [replace(made(spec(seed)), machine=fast if seed else journals.MACHINE) for seed in range(2)]
    assert "train_seconds: times of 2 machines are compared" in page.render(subject(records, tmp_path))


def test_the_command_that_runs_the_rest_names_the_experiment(tmp_path: Path) -> None:
    told = replace(subject([made(spec(0))], tmp_path, grid_file="rates.toml"), experiment="rates")
    assert "bench grid rates.toml --experiment rates" in page.render(told)


def test_a_row_without_the_key_that_is_compared_is_named_by_what_it_lacks(tmp_path: Path) -> None:
    adam = replace(journals.SPEC.optimizer, name="adam", params={"lr": 0.1})
    records = [made(spec(0, lr=0.1)), made(spec(0, lr=0.2)), made(replace(spec(0), optimizer=adam))]
    momentum = replace(journals.SPEC.optimizer, params=journals.SPEC.optimizer.params | {"momentum": 0.0})
    records.append(made(replace(spec(0), optimizer=momentum)))
    comparison = compare_records(records, read_comparison({"compare": {"by": ["optimizer.momentum"]}})[0])
    told = replace(subject(records, tmp_path), comparison=comparison)
    assert told.names == ("momentum=0.9", "no optimizer.momentum", "momentum=0.0")
