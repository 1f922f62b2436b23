"""Which files each level of --artifacts includes."""

from __future__ import annotations

import re

from support.paths import REPOSITORY

from benchbench.records import artifact_files, file_names


def documented_levels() -> dict[str, str]:
    """Return the lowest level of each file in the table of docs/records.md; a model and figures by their folder."""
    page = (REPOSITORY / "docs" / "records.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| \| (yes)? ?\| yes \|", page, re.MULTILINE)
    assert rows
    names = {"the model": file_names.MODEL_FOLDER}
    return {names.get(name, name.strip("`").partition("/")[0]): "light" if light else "full" for name, light in rows}


def test_the_page_on_records_says_of_each_file_of_a_trial_at_which_level_it_is_kept() -> None:
    levels = {file.name: file.level for file in artifact_files.FILES}
    of_others = {file_names.GRID, file_names.TRIALS, file_names.TIMING}
    assert documented_levels() == {name: level for name, level in levels.items() if name not in of_others}


def test_a_level_includes_what_the_lower_ones_include() -> None:
    none, light, full = map(artifact_files.kept_at, artifact_files.LEVELS)
    assert not none
    assert file_names.PREDICTIONS in light
    assert light < full == {file.name for file in artifact_files.FILES}


def test_a_report_reads_images_of_the_best_trial_alone() -> None:
    of_best, of_others = (set(artifact_files.read_by_report(is_best=is_best)) for is_best in (True, False))
    assert of_best - of_others == {file_names.SAMPLES, file_names.SEEN}
    assert file_names.LAYERS not in of_best, "no report shows it"
