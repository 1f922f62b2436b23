"""What an executor is asked to carry out: a spec, and all that is not part of it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotation
from dataclasses import dataclass
from typing import Literal

from benchbench.config.spec import Spec  # noqa: TC001 - pydantic reads the annotation

ArtifactLevel = Literal["none", "light", "full"]
Accelerate = Literal["auto", "off"]


@dataclass(frozen=True)
class Resolved:
    """A spec with what decides whether an earlier trial of it still counts.

    ``data_digest`` is that of the images there are now; ``sources`` the sha256 of the plugins' source files by kind.
    """

    spec: Spec
    data_digest: str
    sources: Mapping[str, str]


@dataclass(frozen=True)
class TrialJob:
    """A spec, and where and how to carry it out; plain data, so that any process can be asked to.

    ``folder`` is the attempt's own; ``resume`` takes it up where its checkpoint stands. ``artifacts``: ``none``;
    ``light`` (tables); ``full`` (tables, figures and the model). ``compiled``: training passes go through
    ``torch.compile``. ``accelerate``: ``auto``, or ``off`` for what a plain loop computes.
    """

    spec: Spec
    attempt: str
    device: str
    data_root: str
    folder: str
    resume: bool = False
    checkpoint_every_seconds: float | None = None
    artifacts: ArtifactLevel = "full"
    plugin_files: tuple[str, ...] = ()
    compiled: bool = False
    accelerate: Accelerate = "auto"
