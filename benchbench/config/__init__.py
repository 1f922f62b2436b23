"""What the user asks for: specs, grid files and comparisons.

::

    kinds.py        the kinds of plugin
    composition.py  several plugins of a kind as one
    spec.py         drafts and specs, and the spec id
    grid_file.py    grid files
    axes.py         the axes of a grid
    comparison.py   what a grid file compares
    design.py       how many seeds a comparison gets
    differences.py  the keys in which trials differ
    files.py        reads text and TOML files
    validation.py   checks tables, and puts pydantic's complaints in sentences
"""
