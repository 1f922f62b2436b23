"""The environment variables that benchbench and its shipped plugins read; docs/settings.md says what each means."""

from __future__ import annotations

STATE = "BENCH_STATE"
CACHE = "BENCH_CACHE"
DATA = "BENCH_DATA"
PLUGINS = "BENCH_PLUGINS"
DISABLE = "BENCH_DISABLE"
NO_PLUGINS = "BENCH_NO_PLUGINS"
"""``--no-plugins`` sets it, so that workers leave them out too."""

DEBUG = "BENCH_DEBUG"
"""``--debug`` sets it, so that workers print tracebacks too."""

TENSORBOARD = "BENCH_TENSORBOARD"

NAMES = (STATE, CACHE, DATA, PLUGINS, DISABLE, NO_PLUGINS, DEBUG, TENSORBOARD)
"""All of them, in the order of the page."""
