"""What a results file holds: as much as was asked for, no paths and no credentials, and nothing that harms."""

from __future__ import annotations

import json
import re
import resource
import shutil
import tracemalloc
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals, made_records
from support.results_folders import runs

from benchbench import SpecError, export_results, import_results
from benchbench.config.spec import PluginSpec
from benchbench.driver import provenance
from benchbench.records import cleaning, results_file
from benchbench.records.claim import Claim
from benchbench.records.redaction import without_paths

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.tracking import Store


def test_neither_paths_nor_credentials_travel(here: Store, tmp_path: Path) -> None:
    here.client.log_text(runs(here)[0].info.run_id, f"<p>{tmp_path}/photos</p>", "report.html")
    export_results(tmp_path / "results.bench", artifacts="full")
    with zipfile.ZipFile(tmp_path / "results.bench") as archive:
        texts = [archive.read(name).decode(errors="replace") for name in archive.namelist()]
    assert any("tiny.py" in text for text in texts)
    assert not any(str(tmp_path) in text for text in texts)
    assert not any("secret" in text for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ann/tiny.py", "tiny.py"),
        ("file:///home/ann/tiny.py", "tiny.py"),
        (r"C:\Users\ann\tiny.py", "tiny.py"),
        ('File "/usr/lib/x.py", line 3', 'File "x.py", line 3'),
        ("sqlite:////home/ann/mlflow.db", "mlflow.db"),
        ("/home/ann smith/my (old) photos", "my (old) photos"),
        ('{"uri": "/home/ann smith/photos"}', '{"uri": "photos"}'),
        ('File "/home/ann smith/x.py", line 3', 'File "x.py", line 3'),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("120 images/s, 3 / 4, a/b/c", "120 images/s, 3 / 4, a/b/c"),
    ],
)
def test_of_an_absolute_path_the_last_part_stays(text: str, expected: str) -> None:
    assert without_paths(text) == expected


@pytest.mark.parametrize(
    ("level", "kept"), [("none", set()), ("light", {"predictions.csv"}), ("full", {"predictions.csv", "curves.png"})]
)
def test_files_go_along_as_far_as_asked(here: Store, tmp_path: Path, level: str, kept: set[str]) -> None:
    del here
    export_results(tmp_path / "results.bench", artifacts=level)  # type: ignore[arg-type]
    with zipfile.ZipFile(tmp_path / "results.bench") as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    assert "record.json" in names
    assert names & {"predictions.csv", "curves.png"} == kept


def test_a_run_that_is_named_comes_with_its_grid(here: Store, tmp_path: Path) -> None:
    child = next(run for run in runs(here) if "mlflow.parentRunId" in run.data.tags)
    for word in (child.info.run_id[:8], child.info.run_name):
        made = export_results(tmp_path / "results.bench", runs=[word])
        assert (made.num_trials, made.num_grids) == (1, 1)
    with pytest.raises(SpecError, match="no run of experiment 'bench' is 'feedbeef'"):
        export_results(tmp_path / "none.bench", runs=["feedbeef"])
    assert not (tmp_path / "none.bench").exists()


def test_what_is_no_results_file_is_said_so(workdir: Path) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        import_results("none.bench")
    (workdir / "text.bench").write_text("text")
    with pytest.raises(SpecError, match=r"text\.bench is not a results file"):
        import_results("text.bench")
    manifest = {"format": 2, "benchbench": "9.0"}
    for name, text in (("empty.bench", None), ("later.bench", json.dumps(manifest)), ("odd.bench", "[]")):
        with zipfile.ZipFile(name, "w") as archive:
            if text is not None:
                archive.writestr(results_file.MANIFEST, text)
    with pytest.raises(SpecError, match=r"manifest\.json is missing"):
        import_results("empty.bench")
    with pytest.raises(SpecError, match="is of format 2, and this benchbench reads format 1"):
        import_results("later.bench")
    with pytest.raises(SpecError, match="the manifest cannot be read"):
        import_results("odd.bench")
    assert not (workdir / "mlflow.db").exists()


def test_json_that_is_nested_too_deep_is_damaged(workdir: Path) -> None:
    deep = "[" * 100_000
    run = {"run_id": "1", "name": "deep", "status": "FINISHED", "started_ms": 0}
    manifest = json.dumps({"format": 1, "benchbench": "1.0", "experiment": "bench", "runs": [run]})
    for name, text, record in (("manifest.bench", deep, "{}"), ("record.bench", manifest, deep)):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr(results_file.MANIFEST, text)
            archive.writestr("runs/1/artifacts/record.json", record)
    with pytest.raises(SpecError, match="the manifest cannot be read"):
        import_results("manifest.bench")
    with pytest.raises(SpecError, match=r"record\.json is damaged"):
        import_results("record.bench")
    assert cleaning.cleaned_json(deep) == deep
    assert not (workdir / "mlflow.db").exists()


def test_a_record_of_another_version_is_refused_before_anything_is_written(workdir: Path) -> None:
    run = {"run_id": "1", "name": "old", "status": "FINISHED", "started_ms": 0}
    manifest = {"format": 1, "benchbench": "0.0.9", "experiment": "bench", "runs": [run]}
    with zipfile.ZipFile("old.bench", "w") as archive:
        archive.writestr(results_file.MANIFEST, json.dumps(manifest))
        archive.writestr("runs/1/artifacts/record.json", '{"format": 1}')
    with pytest.raises(SpecError, match=r"old\.bench: .*record\.json is of format 1, and this") as caught:
        import_results("old.bench")
    assert caught.value.hint == "benchbench 0.0.9 wrote the file"
    assert not (workdir / "mlflow.db").exists()


def test_a_name_in_the_archive_that_leads_out_of_it_is_refused(here: Store, tmp_path: Path) -> None:
    run_id = runs(here)[1].info.run_id
    with zipfile.ZipFile(tmp_path / "bad.bench", "w") as archive:
        archive.writestr(f"runs/{run_id}/artifacts/../../out.txt", "text")
        archive.writestr(
            results_file.MANIFEST, json.dumps({"format": 1, "benchbench": "0", "experiment": "bench", "runs": []})
        )
    with results_file.read(tmp_path / "bad.bench") as reader, pytest.raises(SpecError, match="unsafe name"):
        reader.unpack(run_id, "artifacts", tmp_path / "unpacked")
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("name", ["roc 12:30.txt", r"left\right.txt"])
def test_a_file_of_an_odd_name_travels(here: Store, tmp_path: Path, name: str) -> None:
    run_id = runs(here)[1].info.run_id
    here.client.log_text(run_id, "text", name)
    export_results(tmp_path / "results.bench", artifacts="full")
    with results_file.read(tmp_path / "results.bench") as reader:
        unpacked = reader.unpack(run_id, "artifacts", tmp_path / "unpacked")
    assert unpacked is not None
    assert (unpacked / name).read_text(encoding="utf-8") == "text"


def test_an_archive_that_unpacks_to_more_than_a_disk_is_refused(
    here: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    export_results(tmp_path / "results.bench")
    monkeypatch.setattr(results_file, "MAX_BYTES", 1000)
    with (
        pytest.raises(SpecError, match="unpacks to 0 GB, more than the 0 that are read"),
        results_file.read(tmp_path / "results.bench"),
    ):
        pass


def test_credentials_in_a_parameter_stay_at_home(here: Store, tmp_path: Path) -> None:
    here.client.update_run(runs(here)[1].info.run_id, name="of url=https://ann:secret@example.org/y.zip")
    spec = made_records.spec(9)
    dataset = replace(spec.dataset, params=spec.dataset.params | {"url": "https://ann:secret@example.org/x.zip"})
    first, *rest = made_records.events(replace(spec, dataset=dataset))
    journal = journals.write_journal(tmp_path / "journals", first, *rest)
    journal.set_claim(Claim(here.tracking_uri, "bench", here.experiment_id, is_open=False))
    journal.artifacts.mkdir()
    provenance.write_provenance(journal)
    here.deliver(journal)
    export_results(tmp_path / "results.bench", artifacts="full")
    with zipfile.ZipFile(tmp_path / "results.bench") as archive:
        texts = [archive.read(name).decode(errors="replace") for name in archive.namelist()]
    assert any("example.org/x.zip" in text for text in texts)
    assert not any("secret" in text for text in texts)


def test_a_spec_travels_with_the_paths_that_are_its_parameters(tmp_path: Path) -> None:
    """Without them, it would be the spec of another trial."""
    model = PluginSpec("alexnet", 1, {"weights": "/data/w.safetensors", "files": "*/train/*.png"})
    plugins = tuple(f"{tmp_path}/{name}.py" for name in ("tiny", "more"))
    spec = replace(made_records.spec(0), model=model).to_toml(plugins=plugins)
    (tmp_path / "spec.toml").write_text(spec, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "one.bench", "w") as archive:
        results_file.Writer(archive).artifact("1", "spec.toml", tmp_path / "spec.toml")
        assert archive.read("runs/1/artifacts/spec.toml").decode() == spec.replace(f"{tmp_path}/", "")


GRID_FILE = """
# Written to /home/ann/results.
question = "Of the images in '/home/ann/my photos'?"
plugins = [
    '/home/ann/[old] plugins/tiny.py', # and more.py
    "more.py",
]
include = ["/home/ann/base.toml"]
model = { name = "alexnet", weights = { grid = ["/data/w.safetensors", "/data/v.safetensors"] } }

[dataset]
name = "imagelist"
files = '*/train/*.png'

[compare]
baseline = { model.weights = "/data/w.safetensors" }

[[expected]]
where = { model.weights = "/data/v.safetensors" }
metric = "test_accuracy"
value = 0.5
source = "/home/ann/paper.pdf"
"""


def test_a_grid_file_travels_with_the_paths_that_are_its_parameters(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID_FILE, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "one.bench", "w") as archive:
        results_file.Writer(archive).artifact("1", "grid.toml", tmp_path / "grid.toml")
        cleaned = archive.read("runs/1/artifacts/grid.toml").decode()
    assert cleaned == re.sub(r"/home/ann/(\[old\] plugins/)?", "", GRID_FILE)
    assert cleaning.cleaned_toml(cleaned) == cleaned


def test_a_grid_file_that_is_no_toml_travels_without_any_path() -> None:
    assert cleaning.cleaned_toml('plugins = ["/home/ann/tiny.py"') == 'plugins = ["tiny.py"'


def test_where_a_model_lay_stays_at_home(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text(f"artifact_path: {tmp_path}/mlruns/1/models/m-1/artifacts\nrun_id: 1\n")
    with zipfile.ZipFile(tmp_path / "one.bench", "w") as archive:
        results_file.Writer(archive).model("1", tmp_path / "model")
        assert archive.read("runs/1/model/MLmodel").decode() == "artifact_path: artifacts\nrun_id: 1\n"


def test_a_file_is_unpacked_block_by_block(here: Store, tmp_path: Path) -> None:
    run_id = runs(here)[1].info.run_id
    export_results(tmp_path / "results.bench")
    with zipfile.ZipFile(tmp_path / "results.bench", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"runs/{run_id}/model/weights", bytes(50_000_000))
    tracemalloc.start()
    with results_file.read(tmp_path / "results.bench") as reader:
        reader.unpack(run_id, "model", tmp_path / "unpacked")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "unpacked" / "weights").stat().st_size == 50_000_000
    assert peak < 20_000_000


def test_a_full_disk_leaves_no_results_file_and_is_said_so(here: Store, tmp_path: Path) -> None:
    del here
    export_results(tmp_path / "whole.bench")
    num_bytes = (tmp_path / "whole.bench").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes - 1, hard))
    try:
        with pytest.raises(SpecError, match=r"results\.bench cannot be written: File too large"):
            export_results(tmp_path / "results.bench")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.glob("*.bench")] == ["whole.bench"]
    assert not list(tmp_path.glob("*.partial"))


def test_a_trial_that_left_no_record_is_counted(here: Store, tmp_path: Path) -> None:
    for run in runs(here):
        shutil.rmtree(run.info.artifact_uri.removeprefix("file://"), ignore_errors=True)
    made = export_results(tmp_path / "results.bench")
    assert made.notes == ("3 trials left no record for comparisons to use",)


def test_names_of_classes_that_look_like_paths_stay_what_they_are() -> None:
    record = json.dumps({"data": {"class_names": ["/m/0bt9lr", "/m/01yrx"], "source": "/home/ann/images"}})
    cleaned = json.loads(cleaning.cleaned_json(record))
    assert cleaned == {"data": {"class_names": ["/m/0bt9lr", "/m/01yrx"], "source": "images"}}


def test_images_of_absolute_paths_travel_without_their_folder() -> None:
    table = "image,class\n/home/ann/photos/cats/1.png,cat\n/home/ann/photos/dogs/1.png,dog\nhere.png,dog\n"
    cleaned = cleaning.cleaned_predictions(table)
    assert cleaned == "image,class\ncats/1.png,cat\ndogs/1.png,dog\nhere.png,dog\n"


def test_images_are_cleaned_in_whatever_column_they_are() -> None:
    table = "class,image\n/m/01yrx,/home/ann/photos/cats/1.png\n/m/0bt9lr,/home/ann/photos/dogs/1.png\n"
    assert cleaning.cleaned_predictions(table) == "class,image\n/m/01yrx,cats/1.png\n/m/0bt9lr,dogs/1.png\n"


def test_a_table_without_a_column_of_images_keeps_no_path() -> None:
    assert "ann" not in cleaning.cleaned_predictions("file,class\nhere.png,/home/ann/photos/cats\n")
