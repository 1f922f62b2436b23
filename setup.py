"""Which packages the wheel has; all else is in pyproject.toml.

The shipped plugins lie in ``plugins/`` and are installed as ``benchbench_plugins``, which ``packages.find`` cannot say.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["benchbench", "benchbench.*"]), "benchbench_plugins"])
