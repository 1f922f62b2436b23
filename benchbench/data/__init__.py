"""Datasets on disk. Nothing here imports torch.

::

    locations.py    where the images of each dataset are
    download.py     downloads a dataset's public file
    archive.py      reads files from an archive or a folder
    fit.py          how an image becomes a square
    decoding.py     decodes images in parallel, row by row into files
    image_files.py  from image files to squares of pixels
    splitting.py    takes a part of each class
    checks.py       checks what a dataset plugin returns, and computes its digest
    file_states.py  what changes when files change
    cache.py        images decoded once and mapped into memory
    preparation.py  from image files or raw pixels to what a network is given
"""
