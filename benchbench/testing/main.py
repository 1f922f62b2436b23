"""The process of ``bench plugin check``: it alone imports torch and the plugins that are checked.

It answers with one JSON object after another: what it checks next, so that a plugin that ends the process is known,
and reports.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.data.download import is_here, missing_images_hint
from benchbench.data.locations import DataPaths, named_by_variable
from benchbench.errors import BenchError, DataError
from benchbench.plugin.dataset import Dataset
from benchbench.plugin.discovery import find_sources
from benchbench.processes import serve
from benchbench.protocol.plugin_check_messages import CheckOutcome, CheckRequest, Progress, Report
from benchbench.records.json_adapter import json_adapter
from benchbench.testing.checks_by_kind import fingerprint, plugin_outcomes
from benchbench.testing.import_effects import import_outcomes, watch
from benchbench.testing.model import images_like
from benchbench.testing.rebuilding import NAME, Built, rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchbench.plugin.base import Plugin
    from benchbench.plugin.discovery import Source


def check_all(request: CheckRequest) -> Iterator[Progress]:
    """Yield what is checked next, reports of each module and plugin, and at last that all is done."""
    reports: list[Report] = []
    built: dict[str, Built] = {}
    for source in find_sources(request.files):
        if source.origin in request.origins:
            for progress in _check_module(source, request, built):
                reports += [progress.report] if progress.report else []
                yield progress
    yield Progress("the plugins in another process")
    answers = dict(zip(built, rebuilt(list(built.values()), request.files), strict=True))
    for report in reports:
        key = f"{report.subject} of {report.origin}"
        if key in answers:
            yield Progress(report=replace(report, outcomes=(answers[key],)))
    yield Progress(is_done=True)


def _check_module(source: Source, request: CheckRequest, built: dict[str, Built]) -> Iterator[Progress]:
    yield Progress(f"the import of {source.origin}")
    effects = watch(source)
    yield Progress(report=Report("module", source.origin, tuple(import_outcomes(effects))))
    for cls in effects.loaded.classes:
        if request.names and cls.name not in request.names:
            continue
        subject = f"{cls.kind} {cls.name}"
        yield Progress(f"{subject} of {source.origin}")
        plugin = cls()
        outcomes = tuple(_outcomes(plugin, source.origin, request, built))
        yield Progress(report=Report(subject, source.origin, outcomes))


def _outcomes(plugin: Plugin, origin: str, request: CheckRequest, built: dict[str, Built]) -> Iterator[CheckOutcome]:
    try:
        root = _root(plugin, request) if isinstance(plugin, Dataset) else None
    except BenchError as error:
        yield CheckOutcome("loads", "failed", error.message, error.hint or "--data PATH names the images")
        return
    images = images_like(request.images)
    yield from plugin_outcomes(plugin, root, images)
    try:
        digest = fingerprint(plugin, root, images)
    except (Exception, SystemExit):  # noqa: BLE001 - the checks above have told what is wrong with it
        yield CheckOutcome(NAME, "skipped", "it cannot be built")
    else:
        built[f"{plugin.kind} {plugin.name} of {origin}"] = Built(plugin, origin, root, request.images, digest)


def _root(dataset: Dataset, request: CheckRequest) -> Path:
    """Return where the images of a dataset are."""
    paths = DataPaths({name: Path(path) for name, path in (request.data or {}).items()}, named_by_variable())
    path = paths.locate(dataset.name, dataset.download)
    if dataset.download and not is_here(path, dataset.download):
        raise DataError(f"the images of {dataset.name} are not here", hint=missing_images_hint(dataset.name))
    return path


def respond(request: bytes, send: Callable[[bytes], None]) -> None:
    """Carry out the request."""
    for progress in check_all(json_adapter(CheckRequest).validate_json(request)):
        send(json_adapter(Progress).dump_json(progress))


if __name__ == "__main__":
    serve(respond)
