"""What is made of records: the files of a run, its figures, tables of many."""

from benchbench.report.provenance import describe

__all__ = ["describe"]
