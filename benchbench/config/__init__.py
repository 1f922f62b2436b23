"""What the user asks for: specs, grid files and comparisons.

::

    kinds.py             the kinds of plugin: model, dataset, optimizer and so on
    composition.py       several plugins of one kind as one, such as flip+mixup
    spec.py              a trial as it was asked for (draft) and in full (spec), the defaults, and the spec id
    grid_file.py         grid files: the trials that a file asks for, in the order in which they run
    grid_checks.py       whether the trials of a grid differ, and can answer its question
    axes.py              lists of values in a grid file, and their combinations
    compare_section.py   [compare] and [[expected]] of a grid file
    design.py            how many seeds a comparison gets, and after how many it is made
    differences.py       the keys in which trials differ
    values.py            values as a user types them, and whether a spec has those that were asked for
    training_options.py  options of a trial that do not change its result, such as which files it keeps
    defaults.py          default settings of a trial, and settings with a fixed set of choices
    text_files.py        reads text and TOML files
    validation.py        checks tables of TOML, and turns pydantic's errors into sentences
"""
