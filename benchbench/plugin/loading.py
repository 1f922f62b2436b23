"""Loads one plugin module and checks its hooks, its classes, their names and their defaults."""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pluggy
from pydantic import PydanticSchemaGenerationError, ValidationError

from benchbench.config.composition import DEFAULT
from benchbench.config.validation import describe_validation
from benchbench.errors import closest
from benchbench.plugin import hooks, parameters
from benchbench.plugin.augmentation import Augmentation
from benchbench.plugin.base import Plugin
from benchbench.plugin.dataset import Dataset
from benchbench.plugin.discovery import HOOK_OF_KIND, Broken
from benchbench.plugin.failures import explain, line_in_plugin, line_of
from benchbench.plugin.loss import Loss
from benchbench.plugin.model import Model
from benchbench.plugin.names import PLUGIN_NAME
from benchbench.plugin.optimizer import Optimizer
from benchbench.plugin.scheduler import Scheduler
from benchbench.records.metrics import OF_AN_EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import ModuleType

    from benchbench.plugin.discovery import Source

BASES: dict[str, type[Plugin]] = {
    base.kind: base for base in (Dataset, Augmentation, Model, Loss, Optimizer, Scheduler)
}
_HOOK_NAMES = tuple(name for name in vars(hooks) if name.startswith("benchbench_"))
_TYPES = "use int, float, bool, str, Literal, Enum, or tuples of these"


@dataclass(frozen=True)
class LoadedModule:
    """The plugins of one module. ``listener`` and ``commands`` take the arguments of their hooks by keyword."""

    origin: str
    module: ModuleType | None = None
    classes: tuple[type[Plugin], ...] = ()
    listener: Callable[..., object] | None = None
    commands: Callable[..., object] | None = None
    broken: tuple[Broken, ...] = ()


def load(source: Source) -> LoadedModule:
    """Import a plugin module and return what can be used of it and what is broken. Raises nothing."""
    origin = source.origin
    try:
        module = _load_quietly(source)
        manager = pluggy.PluginManager(hooks.PROJECT)
        manager.add_hookspecs(hooks)
        manager.register(module, name=origin)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's module raises
        return LoadedModule(origin, broken=(Broken(origin, _explain(error), raised=True),))
    offered = [*_misspelt(module), *_classes(manager, origin)]
    event, commands = manager.hook.benchbench_event, manager.hook.benchbench_commands
    if not offered and not event.get_hookimpls() and not commands.get_hookimpls():
        offered = ["offers nothing: mark a function such as benchbench_models with @benchbench.hookimpl"]
    return LoadedModule(
        origin,
        inspect.getmodule(module),
        classes=tuple(item for item in offered if isinstance(item, type)),
        listener=event if event.get_hookimpls() else None,
        commands=commands if commands.get_hookimpls() else None,
        broken=tuple(_as_broken(item, origin) for item in offered if not isinstance(item, type)),
    )


def _as_broken(item: Broken | str, origin: str) -> Broken:
    return Broken(origin, item) if isinstance(item, str) else item


def _load_quietly(source: Source) -> object:
    with warnings.catch_warnings():
        # Pydantic warns here of parameters that _problems reports.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return source.load()


def _explain(error: BaseException) -> str:
    if isinstance(error, PydanticSchemaGenerationError):
        kind = re.search(r"<class '([\w.]+)'>", str(error))
        return f"no parameter can be a {kind[1] if kind else 'value of that type'}; {_TYPES}{line_in_plugin(error)}"
    return _describe_hook_error(str(error)) if isinstance(error, pluggy.PluginValidationError) else explain(error)


def _describe_hook_error(complaint: str) -> str:
    hook = re.search(r"hook '(\w+)'", complaint)
    last_line = complaint.splitlines()[-1]
    if hook is None or hook[1] not in _HOOK_NAMES:
        return last_line
    arguments = inspect.signature(getattr(hooks, hook[1])).parameters
    return f"{hook[1]}: {last_line} (there: {', '.join(arguments) or 'none'})"


def _misspelt(module: object) -> Iterator[str]:
    """Yield what is wrong with functions that look like hooks, which pluggy would ignore."""
    for attribute in dir(module):
        function = inspect.getattr_static(module, attribute)
        mark = getattr(function, f"{hooks.PROJECT}_impl", None)
        marked = isinstance(mark, dict)
        hook = (isinstance(mark, dict) and mark.get("specname")) or attribute
        if not marked and not (inspect.isfunction(function) and attribute.startswith("benchbench_")):
            continue
        if hook not in _HOOK_NAMES:
            hint = closest(hook, _HOOK_NAMES) or f"hooks: {', '.join(_HOOK_NAMES)}"
            yield f"no hook is named {hook!r}; {hint}"
        elif not marked:
            yield f"{hook} is not marked with @benchbench.hookimpl"


def _classes(manager: pluggy.PluginManager, origin: str) -> Iterator[type[Plugin] | Broken | str]:
    """Yield the classes that the hooks return, and a sentence for each that cannot be used."""
    for kind, hook in HOOK_OF_KIND.items():
        caller = getattr(manager.hook, hook)
        if not caller.get_hookimpls():
            continue
        try:
            returned = caller()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's hook raises
            yield Broken(origin, f"{hook}: {explain(error)}", raised=True)
            continue
        if not returned:
            yield f"{hook} returns nothing; is a return statement missing?{line_of(_function_of(caller))}"
            continue
        classes = returned[0]
        if not isinstance(classes, list | tuple):
            yield f"{hook} must return a list of classes, not {_shown(classes)}"
            continue
        for item in classes:
            yield from _checked(item, kind, hook, origin)


def _function_of(caller: pluggy.HookCaller) -> Callable[..., object]:
    return caller.get_hookimpls()[0].function


def _checked(item: object, kind: str, hook: str, origin: str) -> Iterator[type[Plugin] | Broken | str]:
    """Yield what a hook returned if it is a plugin of its kind, or else a sentence for each thing that is wrong."""
    base = BASES[kind]
    if not isinstance(item, type) or not issubclass(item, Plugin):
        yield f"{hook} must return classes made from benchbench.{base.__name__}, not {_shown(item)}"
    elif not issubclass(item, base) or item.kind != kind:
        yield f"{hook} returned {item.__name__}, not a {kind} but {_an(item.kind or 'plugin')}"
    else:
        begin = f"{kind} {item.name or item.__name__!r}: "
        try:
            problems = list(_problems(item, base))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's validator raises
            yield Broken(origin, f"{begin}bad default: {explain(error)}", raised=True)
            return
        yield from (f"{begin}{problem}" for problem in problems)
        if not problems:
            yield item


def _problems(cls: type[Plugin], base: type[Plugin]) -> Iterator[str]:
    taken = sorted(set(cls.model_fields).intersection(dir(base)))
    if taken:
        yield f"no parameter can be called {', '.join(taken)}: it has another meaning in every {base.kind}"
    try:
        yield from _class_problems(cls, base, taken)
        if not taken:
            yield from _default_problems(cls)
    except ValidationError as error:
        yield f"bad default: {describe_validation(error)}"


def _class_problems(cls: type[Plugin], base: type[Plugin], taken: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with a class, but for what follows from parameters whose names are taken."""
    work = "load" if base is Dataset else "build"
    config = cls.model_config
    has_name = bool(vars(cls).get("name"))
    rules = (
        (not has_name and "name" not in taken, f'it has no name; class {cls.__name__}({base.__name__}, name="...")'),
        (
            has_name and not PLUGIN_NAME.fullmatch(cls.name),
            "a name is made of letters, digits and _ . -, a letter or digit first",
        ),
        (cls.name == DEFAULT, f"{DEFAULT!r} is reserved: it stands for the augmentation of the dataset"),
        (type(cls.revision) is not int, f"its revision must be an integer, not {cls.revision!r}"),
        (not config.get("frozen"), "its model_config must stay frozen"),
        (config.get("extra") != "forbid", "its model_config must forbid unknown parameters"),
        (getattr(cls, work, None) is getattr(base, work) and work not in taken, f"it has no {work}()"),
    )
    yield from (sentence for is_broken, sentence in rules if is_broken)
    if issubclass(cls, Scheduler):
        yield from _step_problems(cls)


def _step_problems(cls: type[Scheduler]) -> Iterator[str]:
    """Yield what is wrong with when a scheduler is stepped, and with what."""
    metric, step_every = cls.metric, cls.step_every
    if isinstance(step_every, property):
        yield "its step_every must be a class attribute, not a property"
    elif step_every not in ("epoch", "batch"):
        yield f"its step_every must be 'epoch' or 'batch', not {step_every!r}"
    if metric not in (None, *OF_AN_EPOCH):
        yield f"its metric must be one of {', '.join(OF_AN_EPOCH)}, not {metric!r}"
    elif metric is not None and step_every == "batch":
        yield "its metric is measured after every epoch, and its step_every is 'batch'"


def _default_problems(cls: type[Plugin]) -> Iterator[str]:
    required = [name for name, info in cls.model_fields.items() if info.is_required()]
    if required:
        yield from (f"parameter {name!r} has no default" for name in required)
        return
    config = cls()
    if parameters.from_json(cls, config.model_dump(mode="json")) != config:
        yield "its defaults change when they are written as JSON and read back"


def _an(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _shown(value: object) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)
