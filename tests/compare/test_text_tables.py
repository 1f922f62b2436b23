"""Tables of texts: their columns, and the languages of documents."""

from __future__ import annotations

from dataclasses import replace

from support.made_records import made, spec

from benchbench.compare import compare_records
from benchbench.compare.comparison_tables import metric_tables
from benchbench.compare.text_tables import Column, table_of, to_latex


def test_no_row_of_a_latex_table_begins_with_an_optional_argument() -> None:
    optimizers = [replace(spec().optimizer, params={"lr": 0.1, "betas": [0.9, beta]}) for beta in (0.99, 0.999)]
    records = [made(replace(spec(seed), optimizer=optimizer)) for optimizer in optimizers for seed in (0, 1)]
    (table,) = metric_tables(compare_records(records))
    latex = to_latex(table)
    assert "{[}0.9, 0.99{]}" in latex
    assert not any(line.startswith("[") for line in latex.splitlines())


def test_a_column_that_may_be_left_out_is_there_if_any_cell_has_a_text() -> None:
    columns: list[Column[str]] = [
        Column("name", str.upper),
        Column("failed", lambda item: "1" if item == "b" else "", is_number=True, left_out_if_empty=True),
        Column("why", lambda _: ""),
    ]
    whole, without_failures = table_of("title", columns, ["a", "b"]), table_of("title", columns, ["a"])
    assert (whole.columns, whole.rows) == (("name", "failed", "why"), (("A", "", ""), ("B", "1", "")))
    assert (without_failures.columns, without_failures.rows) == (("name", "why"), (("A", ""),))
    assert (whole.numbers, without_failures.numbers) == (("failed",), ())
