"""The command line ``bench``: :mod:`benchbench.cli.main` puts it together from one module a group of commands."""
