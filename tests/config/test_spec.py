"""The spec id: the same for the same trial however it is written down, and another one for any other trial."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import journals

import benchbench as bb
from benchbench.config.axes import expand
from benchbench.config.kinds import KINDS
from benchbench.config.spec import Draft, PluginDraft, Spec, parse_setting, read_settings
from benchbench.config.text_files import read_toml
from benchbench.errors import SpecError
from benchbench.plugin.registry import Registry
from benchbench.records.events import Started, event_from_json, event_to_json
from benchbench.records.record import Record

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = Registry.load()
TRIALS = settings(deadline=None, max_examples=60, database=None)


class Box(bb.Scheduler, name="box"):
    """Takes all sorts of values."""

    number: float = bb.param(1e-08, "any number")
    limit: float | None = bb.param(None, "may be none")
    count: int = bb.param(0, "any whole number")
    word: str = bb.param("", "any text")
    switch: bool = bb.param(False, "on or off")
    rows: tuple[tuple[float, ...], ...] = bb.param((), "lists in a list")
    names: dict[str, int] = bb.param({}, "a table")


REGISTRY.plugins["scheduler", "box"] = Box

shares = st.floats(0, 1, exclude_max=True)
stds = st.floats(1e-6, 10)
positives = st.floats(1e-12, 1e6)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(1, 1000)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def plugin(name: str, **params: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return tables of a plugin with some of its parameters."""
    return st.fixed_dictionaries({"name": st.just(name)}, optional=params)


optimizers = st.one_of(
    plugin("sgd", lr=positives, momentum=st.floats(0.1, 0.9), weight_decay=shares, nesterov=st.booleans()),
    plugin("adam", lr=positives, betas=st.tuples(shares, shares).map(list), eps=positives, weight_decay=shares),
)
models = st.one_of(
    plugin("alexnet", dropout=shares, num_classes=st.one_of(counts, st.just("none"))),
    plugin("resnet", layers=st.sampled_from([18, 34, 50]), pretrained=st.booleans()),
)
boxes = plugin(
    "box",
    number=finite,
    limit=st.one_of(finite, st.just("none")),
    count=st.integers(-(2**40), 2**40),
    word=texts,
    switch=st.booleans(),
    rows=st.lists(st.lists(finite, max_size=3), max_size=3),
    names=st.dictionaries(texts, counts, max_size=3),
)
schedulers = st.one_of(plugin("constant"), plugin("step", step_size=counts, gamma=st.floats(0.01, 1)), boxes)
datasets = st.one_of(
    plugin("digits", image_size=counts, mean=st.lists(shares, min_size=1, max_size=3)),
    plugin("tinyimage10", image_size=counts, std=st.lists(stds, min_size=1, max_size=3)),
)
trials = st.fixed_dictionaries(
    {"model": models, "dataset": datasets},
    optional={
        "optimizer": optimizers,
        "scheduler": schedulers,
        "epochs": counts,
        "batch_size": counts,
        "seed": st.integers(0, 2**63 - 1),
        "precision": st.sampled_from(["fp32", "tf32", "bf16"]),
    },
)


def resolve(table: dict[str, Any]) -> Spec:
    return REGISTRY.resolve(Draft.from_toml(table))


def shuffled(data: st.DataObject, table: dict[str, Any]) -> dict[str, Any]:
    """Return the table with its keys, and those of the tables in it, in another order."""
    items = data.draw(st.permutations(list(table.items())))
    return {key: shuffled(data, value) if isinstance(value, dict) else value for key, value in items}


def written_out(spec: Spec) -> dict[str, Any]:
    """Return the table of a trial with every default in it."""
    scalars = {"epochs": spec.epochs, "batch_size": spec.batch_size, "seed": spec.seed, "precision": spec.precision}
    return scalars | {kind: {"name": spec.plugin(kind).name} | spec.plugin(kind).params for kind in KINDS}


@TRIALS
@given(trials, st.data())
def test_the_order_of_keys_never_changes_the_id(table: dict[str, Any], data: st.DataObject) -> None:
    assert resolve(shuffled(data, table)).id == resolve(table).id


@TRIALS
@given(trials, st.data())
def test_defaults_written_out_or_left_out_never_change_the_id(table: dict[str, Any], data: st.DataObject) -> None:
    spec = resolve(table)
    whole = written_out(spec)
    assert resolve(whole).id == spec.id
    defaults = written_out(resolve({key: {"name": whole[key]["name"]} for key in KINDS}))
    kind = data.draw(st.sampled_from(KINDS))
    same = [key for key, value in whole[kind].items() if key != "name" and value == defaults[kind][key]]
    left_out = data.draw(st.sets(st.sampled_from(same))) if same else set()
    whole[kind] = {key: value for key, value in whole[kind].items() if key not in left_out}
    assert resolve(whole).id == spec.id


@TRIALS
@given(trials)
def test_a_spec_read_back_from_its_toml_has_the_same_id(table: dict[str, Any]) -> None:
    spec = resolve(table)
    again = resolve(tomllib.loads(spec.to_toml()))
    assert again == spec
    assert again.id == spec.id


@TRIALS
@given(trials, st.lists(positives, min_size=1, max_size=3, unique=True), st.data())
def test_the_order_of_trials_never_changes_their_ids(
    table: dict[str, Any], rates: list[float], data: st.DataObject
) -> None:
    grid = table | {"optimizer": {"name": "sgd", "lr": {"grid": rates}}, "seed": {"grid": [0, 1]}}
    other = shuffled(data, table) | {
        "seed": {"grid": [1, 0]},
        "optimizer": {"lr": {"grid": data.draw(st.permutations(rates))}, "name": "sgd"},
    }
    ids = [resolve(trial).id for trial in expand(grid)]
    assert len(set(ids)) == len(ids) == 2 * len(rates)
    assert {resolve(trial).id for trial in expand(other)} == set(ids)


@TRIALS
@given(trials, trials)
def test_two_trials_have_one_id_only_where_all_their_values_are_equal(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = resolve(one), resolve(other)
    assert (first.id == second.id) == (repr(first.flat()) == repr(second.flat()))


@TRIALS
@given(trials, st.data())
def test_any_parameter_of_another_value_makes_another_id(table: dict[str, Any], data: st.DataObject) -> None:
    spec = resolve(table)
    kind = data.draw(st.sampled_from([kind for kind in KINDS if spec.plugin(kind).params]))
    key = data.draw(st.sampled_from(sorted(spec.plugin(kind).params)))
    before = spec.plugin(kind)
    after = replace(before, params=before.params | {key: [before.params[key]]})
    assert replace(spec, **{kind: after}).id != spec.id


@TRIALS
@given(trials)
def test_all_else_that_decides_a_result_makes_another_id(table: dict[str, Any]) -> None:
    spec = resolve(table)
    others = [
        replace(spec, epochs=spec.epochs + 1),
        replace(spec, batch_size=spec.batch_size + 1),
        replace(spec, seed=spec.seed + 1),
        replace(spec, precision="bf16" if spec.precision == "fp32" else "fp32"),
        *(replace(spec, **{kind: replace(spec.plugin(kind), revision=2)}) for kind in KINDS),
        *(replace(spec, **{kind: replace(spec.plugin(kind), name="other")}) for kind in KINDS),
    ]
    assert len({spec.id, *(other.id for other in others)}) == len(others) + 1


@TRIALS
@given(st.floats(allow_nan=False, allow_infinity=False, max_value=1e308))
def test_the_smallest_difference_between_two_numbers_makes_another_id(number: float) -> None:
    def spec_id(value: float) -> str:
        trial = {"model": "alexnet", "dataset": "digits", "scheduler": {"name": "box", "number": value}}
        return resolve(trial).id

    assert spec_id(number) != spec_id(math.nextafter(number, math.inf))


def test_a_whole_number_stands_for_the_float_that_it_equals() -> None:
    ids = {
        resolve({"model": "alexnet", "dataset": "digits", "optimizer": {"name": "sgd", "lr": lr}}).id for lr in (1, 1.0)
    }
    assert len(ids) == 1


@pytest.mark.parametrize(("one", "other"), [("1e-3", "0.001"), ("1", "1.0"), ("-0.0", "0.0"), ("1_0.5", "10.5")])
def test_equal_numbers_are_one_trial_however_they_are_written(one: str, other: str) -> None:
    def spec_id(number: str, key: str) -> str:
        box = f'{{ name = "box", {key} }}'
        text = f'model = "alexnet"\ndataset = "digits"\nscheduler = {box.replace("NUMBER", number)}'
        return resolve(tomllib.loads(text)).id

    for key in ("number = NUMBER", "limit = NUMBER", "rows = [[NUMBER]]"):
        assert spec_id(one, key) == spec_id(other, key)


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("std", "[-0.25]", "needs one number or more, each between 1e-06 and 10"),
        ("std", "[58.4]", "each between 1e-06 and 10: numbers are of pixels from 0 to 1, so divide by 255"),
        ("mean", "[0.4, 123.675]", "each between -10 and 10: numbers are of pixels from 0 to 1, so divide by 255"),
    ],
)
def test_numbers_that_invert_images_or_make_them_all_alike_are_refused(key: str, text: str, problem: str) -> None:
    draft = Draft.from_toml({"model": "alexnet", "dataset": "digits"})
    with pytest.raises(SpecError) as caught:
        REGISTRY.resolve(draft.with_texts(read_settings({f"dataset.{key}": text})))
    assert caught.value.message.startswith(f"dataset.{key}: ")
    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("kind", "name", "key", "text", "message"),
    [
        ("optimizer", "sgd", "lr", "inf", "optimizer.lr must be a finite number, not inf"),
        ("optimizer", "sgd", "lr", "nan", "optimizer.lr must be a finite number, not nan"),
        ("optimizer", "sgd", "lr", "1e999", "optimizer.lr must be a finite number, not 1e999"),
        ("optimizer", "adam", "betas", "[0.5, nan]", "optimizer.betas[1] must be a finite number, not NaN"),
        ("dataset", "digits", "mean", "[inf]", "dataset.mean[0] must be a finite number, not Infinity"),
        ("dataset", "digits", "std", "[0.5, 0.0]", "dataset.std: needs one number or more, each between 1e-06 and 10"),
        (
            "dataset",
            "tinyimage10",
            "std",
            "[1e-300]",
            "dataset.std: needs one number or more, each between 1e-06 and 10",
        ),
        ("dataset", "digits", "std", "[]", "dataset.std: needs one number or more"),
        ("dataset", "digits", "mean", "[1e300]", "dataset.mean: needs one number or more, each between -10 and 10"),
    ],
)
def test_numbers_that_end_in_nan_are_refused_by_name_before_training(
    kind: str, name: str, key: str, text: str, message: str
) -> None:
    plain = {"model": "alexnet", "dataset": "digits"}
    typed = Draft.from_toml(plain | {kind: name}).with_texts(read_settings({f"{kind}.{key}": text}))
    with pytest.raises(SpecError) as caught:
        REGISTRY.resolve(typed)
    assert caught.value.message.startswith(message)
    written = Draft.from_toml(plain | {kind: {"name": name} | tomllib.loads(f"{key} = {text}")})
    with pytest.raises(SpecError, match=f"{kind}.{key}"):
        REGISTRY.resolve(written)


def test_a_parameter_may_be_infinite_and_its_trial_is_the_same_wherever_it_is_written() -> None:
    class Open(bb.Scheduler, name="open"):
        limit: float = bb.param(math.inf, "may be infinite", allow_inf_nan=True)

        floor: float | None = bb.param(None, "may be infinite or none", allow_inf_nan=True)

    REGISTRY.plugins["scheduler", "open"] = Open
    plain = {"model": "alexnet", "dataset": "digits"}
    spec = resolve(plain | {"scheduler": {"name": "open", "floor": -math.inf}})
    assert spec.scheduler.params == {"warmup_epochs": 0.0, "limit": "inf", "floor": "-inf"}
    plugin = REGISTRY.create("scheduler", spec.scheduler)
    assert (plugin.limit, plugin.floor) == (math.inf, -math.inf)  # type: ignore[attr-defined]
    assert resolve(tomllib.loads(spec.to_toml())) == spec
    typed = Draft.from_toml(plain | {"scheduler": "open"}).with_texts({"scheduler": {"floor": "-inf"}})
    assert REGISTRY.resolve(typed) == spec
    started = replace(journals.started(), spec=spec)
    back = event_from_json(event_to_json(started))
    assert isinstance(back, Started)
    assert back.spec.id == spec.id
    assert Record.from_json(Record.of([started]).to_json()).spec.id == spec.id


def test_plugin_files_are_not_part_of_the_id() -> None:
    plain = {"model": "alexnet", "dataset": "digits"}
    assert resolve(plain | {"plugins": ["mine.py"]}).id == resolve(plain).id
    assert set(asdict(resolve(plain))) == {*KINDS, "epochs", "batch_size", "seed", "precision", "ema_decay", "select"}


def test_settings_are_read_as_texts_by_kind() -> None:
    typed = ("model.dropout=0.3", " optimizer.lr = 0.1 ", "model.dropout=0.5", "model.a=b=c")
    texts = read_settings(dict(map(parse_setting, typed)))
    assert texts == {"model": {"dropout": "0.5", "a": "b=c"}, "optimizer": {"lr": "0.1"}}
    draft = Draft.from_toml({"model": "alexnet", "dataset": "digits"}).with_texts(texts)
    assert draft.model == PluginDraft(name="alexnet", texts={"dropout": "0.5", "a": "b=c"})
    assert draft.optimizer == PluginDraft(name="sgd", texts={"lr": "0.1"})
    assert draft.dataset == PluginDraft(name="digits")


def test_a_setting_and_the_same_value_in_toml_are_one_trial() -> None:
    plain = {"model": "alexnet", "dataset": "digits"}
    typed = Draft.from_toml(plain).with_texts(read_settings({"optimizer.lr": "1e-2"}))
    assert REGISTRY.resolve(typed).id == resolve(plain | {"optimizer": {"name": "sgd", "lr": 0.01}}).id


@pytest.mark.parametrize("setting", ["", "=", "model", "model.=1", "model.dropout"])
def test_a_setting_that_is_no_setting_is_refused_with_an_example(setting: str) -> None:
    with pytest.raises(SpecError, match=r"is not KIND\.PARAM=VALUE") as caught:
        read_settings(dict([parse_setting(setting)]))
    assert caught.value.hint == "such as --set model.dropout=0.3"


def test_a_value_that_no_parameter_can_have_is_refused() -> None:
    table = tomllib.loads('model = "alexnet"\ndataset = "digits"\noptimizer = { name = "sgd", lr = 2020-01-01 }')
    with pytest.raises(SpecError, match=r"optimizer\.lr"):
        Draft.from_toml(table)


def test_paths_of_plugins_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text('plugins = ["mine.py", "/elsewhere/other.py"]')
    assert read_toml(file) == {"plugins": [str(tmp_path / "mine.py"), "/elsewhere/other.py"]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ema_decay": 1.0}, "ema_decay must be less than 1, not 1.0"),
        ({"ema_decay": 0}, "ema_decay must be greater than 0, not 0"),
        ({"select": "best"}, "select must be 'last' or 'best_val', not \"best\""),
    ],
)
def test_a_decay_or_a_choice_that_cannot_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Draft.from_toml({"model": "alexnet", "dataset": "digits"} | keys)
    assert message in caught.value.message


def test_a_moving_average_and_the_best_network_are_part_of_a_trial() -> None:
    plain = {"model": "alexnet", "dataset": "digits"}
    specs = [resolve(plain | keys) for keys in ({}, {"ema_decay": 0.9}, {"select": "best_val"}, {"ema_decay": "none"})]
    assert len({spec.id for spec in specs}) == 3
    assert specs[0] == specs[3]
    for spec in specs:
        table = tomllib.loads(spec.to_toml())
        assert resolve(table).id == spec.id
