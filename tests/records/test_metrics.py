"""The names of metrics."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from benchbench.records.metrics import class_slugs


def test_classes_become_names_that_can_be_read() -> None:
    slugs = class_slugs(("goldfish, Carassius auratus", "jack-o'-lantern", "école"))
    assert list(slugs.values()) == ["goldfish_Carassius_auratus", "jack-o_-lantern", "école"]


def test_classes_that_would_have_the_same_name_are_numbered() -> None:
    slugs = class_slugs(("a b", "a,b", "A B", "c", "", "a b.0"))
    assert list(slugs.values()) == ["a_b.0", "a_b.1", "A_B.2", "c", "class.4", "a_b_0"]


@given(st.lists(st.text(), unique=True, max_size=20))
def test_any_classes_get_names_that_mlflow_takes_and_no_two_are_equal(class_names: list[str]) -> None:
    slugs = class_slugs(tuple(class_names))
    assert len({slug.casefold() for slug in slugs.values()}) == len(class_names)
    for slug in slugs.values():
        _validate_metric_name(f"test_accuracy/{slug}")
