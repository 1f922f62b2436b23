"""What the record says of torch.compile, from Dynamo's counters."""

import pytest

from benchbench.worker.compilation import describe


@pytest.mark.parametrize(
    ("counters", "text"),
    [
        ({}, "torch.compile made 0 graphs"),
        ({"stats": {"unique_graphs": 1}, "frames": {"total": 1, "ok": 1}}, "torch.compile made 1 graph"),
        (
            {"stats": {"unique_graphs": 3}, "graph_break": {"print": 2}, "frames": {"total": 4, "ok": 3}},
            "torch.compile made 3 graphs with 2 graph breaks and left 1 function to Python",
        ),
    ],
)
def test_graphs_breaks_and_what_was_left_to_python_are_counted(counters: dict[str, dict[str, int]], text: str) -> None:
    assert describe(counters) == text
