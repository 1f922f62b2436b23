"""The plugin contract, and how plugins are found and loaded.

::

    base.py             the base class of all plugins, and their parameters
    table_parameter.py  a table as a parameter: options that a plugin passes on to a library
    dataset.py          the base class of datasets, and the images that they return
    augmentation.py     the base class of augmentations, and the facts about images that they receive
    model.py            the base class of models, and the facts about the data that they receive
    loss.py             the base class of losses
    optimizer.py        the base class of optimizers
    scheduler.py        the base class of schedulers
    hooks.py            the list of hooks: everything that can be plugged in
    parameters.py       reads the parameters of plugins from TOML, JSON and --set
    names.py            what plugins may be called
    unknown_name.py     the error for a name that no plugin has
    discovery.py        finds plugins without importing them
    loose.py            imports plugin files that no package installs
    loading.py          loads one plugin module and checks it
    failures.py         error messages, with file and line, for plugins that raise or return something unusable
    code.py             the source files behind a plugin, and their digest
    registry.py         loaded plugins by name
    description.py      plugins as plain data, for bench list and bench show
    catalog.py          descriptions of all plugins, kept in the cache
"""
