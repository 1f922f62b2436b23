"""``bench.run``: train one model on one dataset, once. It is a grid of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from benchbench.config.composition import JOINT, as_one
from benchbench.config.kinds import plural
from benchbench.config.spec import Draft, read_settings
from benchbench.config.text_files import read_toml
from benchbench.driver.interrupts import Interrupted
from benchbench.driver.plan import Rules
from benchbench.driver.settings import Settings, TrialOptions, refuse_unknown_arguments, setting_texts, texts_of
from benchbench.driver.trials import TrialRequest, run_trials
from benchbench.driver.watcher import Watcher
from benchbench.errors import PluginError, SpecError
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files
from benchbench.plugin.names import bare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.config.kinds import Kind
    from benchbench.records.record import Record


def run(  # noqa: PLR0913 - one argument for each thing that decides a trial
    model: str | None = None,
    dataset: str | None = None,
    *,
    optimizer: str | None = None,
    scheduler: str | None = None,
    augmentation: str | Sequence[str] | None = None,
    loss: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    ema_decay: float | Literal["none"] | None = None,
    select: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002 - the word of the command line
    spec: str | Path | None = None,
    fresh: bool = False,
    resume_anyway: bool = False,
    watcher: Watcher | None = None,
    **options: Unpack[TrialOptions],
) -> Record:
    """Train a model on a dataset, track it in MLflow, and return the record.

    Defaults are those of ``bench run``: SGD, a constant learning rate, the augmentation that the dataset names,
    cross-entropy, 10 epochs, batches of 32, seed 0, fp32. ``spec`` is a TOML file that replaces them, such as a run's
    ``spec.toml``; a plugin that is named here as well keeps its parameters. Several augmentations are applied one after
    the other. ``set`` gives parameters of plugins, such as ``{"optimizer.lr": 0.01}``. An interrupted trial is resumed,
    unless ``fresh`` is true; ``resume_anyway`` resumes it even if one of its plugins has changed. ``options`` are those
    of :class:`~benchbench.driver.settings.TrialOptions`. Nothing is printed; ``watcher`` receives the progress.

    The record's ``status`` is ``finished`` or ``failed``. Raises :class:`~benchbench.errors.BenchError` if the trial
    cannot begin, and :class:`~benchbench.driver.interrupts.Interrupted` on Ctrl-C.
    """
    refuse_unknown_arguments(run, options)
    table = {} if spec is None else read_toml(Path(spec))
    names: dict[Kind, str | None] = {
        "model": model,
        "dataset": dataset,
        "augmentation": _joined(augmentation),
        "loss": loss,
        "optimizer": optimizer,
        "scheduler": scheduler,
    }
    for kind, name in names.items():
        _name_plugin(table, kind, name, (*table.get("plugins", ()), *texts_of(options.get("plugins"))))
    options_of_trial = {
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "precision": precision,
        "ema_decay": ema_decay,
        "select": select,
    }
    table |= {key: value for key, value in options_of_trial.items() if value is not None}
    draft = Draft.from_toml(table).with_texts(read_settings(setting_texts(set)))
    rules = Rules(again=True, fresh=fresh, resume_anyway=resume_anyway)
    settings = Settings.of(options, plugins=draft.plugins, rules=rules, jobs=1)
    try:
        result = run_trials(TrialRequest(drafts=(draft,)), settings, watcher or Watcher())
    except Interrupted as interrupted:
        raise Interrupted(interrupted.result and interrupted.result.trials[0].record) from None
    (trial,) = result.trials
    if result.is_interrupted:
        raise Interrupted(trial.record)
    if trial.error is not None:
        raise trial.error
    assert trial.record is not None  # noqa: S101 - it ended, and was not refused
    return trial.record


def _joined(augmentation: str | Sequence[str] | None) -> str | None:
    return augmentation if augmentation is None or isinstance(augmentation, str) else JOINT.join(augmentation) or None


def _name_plugin(table: dict[str, Any], kind: Kind, name: str | None, files: Sequence[str]) -> None:
    """Put the name of a plugin into the table; the parameters of another plugin go."""
    if name is None:
        if kind in ("model", "dataset") and kind not in table:
            raise SpecError(
                f"no {kind} given",
                hint=f"bench run MODEL DATASET, such as: bench run alexnet digits  (bench list {plural(kind)})",
            )
        return
    before = as_one(table.get(kind), kind=kind)
    if isinstance(before, str):
        before = {"name": before}
    if isinstance(before, dict) and _is_of_one_plugin(kind, before.get("name"), name, files):
        table[kind] = before
    else:
        table[kind] = name


def _is_of_one_plugin(kind: Kind, before: object, name: str, files: Sequence[str]) -> bool:
    """Tell whether two names are those of one plugin: with plugin files, ``spec.toml`` says where each is from."""
    if before == name or not isinstance(before, str):
        return before == name
    # Parameters of several plugins in one are called after the names of these.
    if JOINT in before + name or bare(before) != bare(name):
        return False
    catalog = Catalog.read(loose_files(files))
    try:
        return catalog.find(kind, before) == catalog.find(kind, name)
    except PluginError:  # that of the file may be gone
        return False
