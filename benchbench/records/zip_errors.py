"""What zipfile raises: the same for results files and for archives of images."""

from __future__ import annotations

import zipfile
import zlib

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What zipfile raises if an archive is damaged, or uses a feature that zipfile cannot read."""
