"""A plugin built again in a process of its own, from plain data, as every worker does it.

Sets of names have a different order there, which can make the same plugin load different images.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.plugin import parameters
from benchbench.plugin.discovery import find_sources
from benchbench.plugin.failures import explain
from benchbench.plugin.loading import load
from benchbench.processes import ask, serve
from benchbench.protocol.plugin_check_messages import CheckedImages, CheckOutcome
from benchbench.testing.checks_by_kind import fingerprint
from benchbench.testing.model import images_like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchbench.plugin.base import Plugin

NAME = "rebuilt in a worker"


@dataclass(frozen=True)
class Built:
    """A plugin with its origin, the images that it loads or is built for, and the fingerprint that it had."""

    plugin: Plugin
    origin: str
    root: Path | None
    images: CheckedImages
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Return what another process builds it from."""
        cls = type(self.plugin)
        params = parameters.to_json(self.plugin)
        root = str(self.root) if self.root else None
        images = asdict(self.images)
        return {
            "origin": self.origin,
            "kind": cls.kind,
            "name": cls.name,
            "params": params,
            "root": root,
            "images": images,
        }


def rebuilt(built: Sequence[Built], files: Iterable[str]) -> list[CheckOutcome]:
    """Return for each plugin whether another process builds the same."""
    if not built:
        return []
    request = json.dumps({"files": list(files), "plugins": [item.to_json() for item in built]})
    done = ask("benchbench.testing.rebuilding", request.encode())
    answered = [json.loads(answer) for answer in done.answers]
    died = {"problem": f"the process that rebuilds it {done.death}"}
    answered += [died] * (len(built) - len(answered))
    return [_outcome(item, answer) for item, answer in zip(built, answered, strict=True)]


def _outcome(item: Built, answer: dict[str, str]) -> CheckOutcome:
    if "problem" in answer:
        fix = "it may only need its parameters, its module and its files"
        return CheckOutcome(NAME, "failed", f"it cannot be rebuilt: {answer['problem']}", fix)
    if answer["fingerprint"] != item.fingerprint:
        problem = f"another process {'loads' if item.plugin.kind == 'dataset' else 'builds'} something else"
        fix = "look for sets, hash(), the time, process ids and global generators: sort, and use the seed"
        return CheckOutcome(NAME, "failed", problem, fix)
    return CheckOutcome(NAME, "passed")


def _rebuild(request: dict[str, Any], item: dict[str, Any]) -> dict[str, str]:
    source = next(source for source in find_sources(request["files"]) if source.origin == item["origin"])
    classes = {(cls.kind, cls.name): cls for cls in load(source).classes}
    plugin = parameters.read(classes[item["kind"], item["name"]], item["params"])
    root, images = Path(item["root"]) if item["root"] else None, images_like(CheckedImages(**item["images"]))
    return {"fingerprint": fingerprint(plugin, root, images)}


def respond(request: bytes, send: Callable[[bytes], None]) -> None:
    """Send a fingerprint, or a problem, for each plugin."""
    asked = json.loads(request)
    for item in asked["plugins"]:
        try:
            answer = _rebuild(asked, item)
        except Exception as error:  # noqa: BLE001 - a stranger's plugin may raise anything
            answer = {"problem": explain(error)}
        send(json.dumps(answer).encode())


if __name__ == "__main__":
    serve(respond)
