"""Datasets on disk. Nothing here imports torch.

::

    download.py  finds a dataset's images, or downloads them
    archive.py   reads files from a zip archive or a folder
    checks.py    checks what a dataset plugin returns, and computes its digest
    cache.py     images decoded once and mapped into memory
"""
