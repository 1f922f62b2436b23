"""Checks of the parameters of a plugin of any kind."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import tomli_w

from benchbench.plugin import parameters
from benchbench.testing.checking import check, require

if TYPE_CHECKING:
    from benchbench.plugin.base import Plugin

_TUPLES = "use tuples, numbers, text or Literal for parameters, not lists, sets or dicts"


@check()
def fixed_parameters(plugin: Plugin) -> None:
    """Check that its parameters are values that never change, as those of a spec must be."""
    try:
        hash(plugin)
    except TypeError as error:
        require(False, f"its parameters must be values that never change: {error}", fix=_TUPLES)


@check()
def default_parameters(plugin: Plugin) -> None:
    """Check that every parameter has a default that its own rules accept."""
    missing = [name for name, info in type(plugin).model_fields.items() if info.is_required()]
    require(not missing, f"no default for {', '.join(missing)}", fix="bb.param(DEFAULT, HELP) gives one")
    type(plugin)()


@check()
def parameters_as_JSON(plugin: Plugin) -> None:  # noqa: N802 - the name of the check
    """Check that they come back from JSON as they were, as between the driver and a worker."""
    again = parameters.from_json(type(plugin), plugin.model_dump(mode="json"))
    problem = f"its parameters change when written as JSON and read back: {plugin!r} to {again!r}"
    require(again == plugin, problem, fix="a validator must accept, unchanged, what it returned")


@check(needs=(parameters_as_JSON,))
def parameters_as_TOML(plugin: Plugin) -> None:  # noqa: N802 - the name of the check
    """Check that they come back from the spec.toml that every run keeps."""
    written: dict[str, Any] = {
        key: "none" if value is None else value for key, value in parameters.to_json(plugin).items()
    }
    try:
        text = tomli_w.dumps(written)
    except TypeError as error:
        require(False, f"its parameters cannot be written as TOML: {error}", fix="TOML has no None inside a tuple")
    again = parameters.read(type(plugin), tomllib.loads(text))
    problem = f"its parameters change when written as TOML and read back: {plugin!r} to {again!r}"
    require(again == plugin, problem, fix='"none" is read as None, so a text parameter needs another default')


CHECKS = (fixed_parameters, default_parameters, parameters_as_JSON, parameters_as_TOML)
