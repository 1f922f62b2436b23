"""Which bench call owns a trial, and where in MLflow its results go."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchbench.config.defaults import ArtifactLevel
from benchbench.records import sqlite_addresses
from benchbench.records.calls import NOBODY, Call


@dataclass(frozen=True)
class Claim:
    """Whose an attempt at a trial is.

    ``experiment`` is the experiment's name when the trial began, and ``varied`` what tells the trial from the others of
    its grid. ``is_open`` says that the call has yet to tell how the trial ended, and to add its part to the artifacts.
    ``artifacts`` and ``keeps_checkpoint`` are what the call was asked to keep. ``continued_spec_id`` is that of the
    shorter trial whose epochs the attempt begins with, if there is one.
    """

    tracking_uri: str
    experiment: str
    experiment_id: str
    call: Call = NOBODY
    parent_run_id: str | None = None
    varied: str = ""
    is_open: bool = True
    artifacts: ArtifactLevel = "light"
    keeps_checkpoint: bool = False
    continued_spec_id: str = ""

    def is_alive(self) -> bool:
        """Tell whether the call still runs."""
        return self.call.is_alive()

    def to_state(self) -> Claim:
        """Return the claim as it is kept on disk."""
        return replace(self, tracking_uri=sqlite_addresses.to_state(self.tracking_uri))

    def from_state(self) -> Claim:
        """Return the claim that is kept on disk."""
        return replace(self, tracking_uri=sqlite_addresses.from_state(self.tracking_uri))
