"""The plugin contract: base classes, hooks, parameters, and how plugins are found and loaded."""
