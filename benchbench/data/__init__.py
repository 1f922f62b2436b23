"""Datasets on disk. Nothing here imports torch.

::

    locations.py           where the images of each dataset are
    download.py            downloads a dataset's public file
    archive.py             reads files from an archive or a folder
    fit.py                 how an image becomes a square
    image_decoding.py      decodes an image file: formats, orientation, colors
    damaged_images.py      which image files are damaged, and the error that names them
    image_files.py         what datasets of image files have in common
    parallel_decoding.py   decodes all images of a dataset in parallel, row by row into files
    decoding_processes.py  processes that decode image files for this one
    decoded_rows.py        where decoded images go, row by row: a file, or memory
    splitting.py           takes a fraction of each class, such as for validation
    split_arrays.py        a checked split as arrays, and the names of the splits
    split_checks.py        checks what a dataset plugin returns
    split_digests.py       digests that identify images and labels
    shared_images.py       counts images that are in two splits
    file_states.py         tells whether files have changed, without reading them
    cache.py               images decoded once and mapped into memory
    kept_images.py         the images that a run keeps to be drawn: samples.npz and seen.npz
    preparation.py         prepares image files or raw pixels for a trained network
"""
