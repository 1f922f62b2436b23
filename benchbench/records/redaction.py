"""What must not leave this machine in a text: credentials, and where files are."""

from __future__ import annotations

import re

_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s?#'\"]*@")
_OF_A_DATABASE = re.compile(r"\b((?:postgres|postgresql|mysql|mariadb|mssql|oracle)(?:\+\w+)?://)[^:/@\s]*:[^@\s]*@")
"""SQLAlchemy takes anything but @ for a password."""

_SECRET_IN_QUERY = re.compile(
    r"([?&](?:[\w.-]*(?:password|passwd|pwd|token|secret|signature|api_?key)|sig)=)[^&\s'\"]+", re.IGNORECASE
)
_SECRET_OF_ODBC = re.compile(r"((?:\b|%3B|\+)(?:PWD|Password)(?:=|%3D))(?:(?!%3B)[^;&\s'\"])+", re.IGNORECASE)
"""In SQLAlchemy's ``odbc_connect``, which is quoted."""

_PART = r"""[^/\\\s"'<>:,;()\[\]]+"""
_ABSOLUTE = re.compile(
    rf"""(?:\b(?:file|sqlite):///?|(?<![\w.:/\\~<-]))(?:/(?=\w)(?:{_PART}/)*|[A-Za-z]:\\(?:{_PART}\\)*)"""
)


_URL = r"(?:(?:file|sqlite):///?)?"
_QUOTED = re.compile(rf"""(?<=["']){_URL}/(?=\w)[^"'\n]*/(?=[^"'/\n]+["'])""")
_WHOLE = re.compile(rf"""{_URL}/(?=\w)[^"':;,\n]*/([^"':;,/\n]+)""")
"""A path in quotes, or that is all of a text, may have blanks and brackets in it."""


def without_credentials(text: str) -> str:
    """Return the text with the user names, passwords and tokens of all URLs in it taken out."""
    without_users = _USER_AND_PASSWORD.sub("", _OF_A_DATABASE.sub(r"\1", text))
    return _SECRET_OF_ODBC.sub(r"\1***", _SECRET_IN_QUERY.sub(r"\1***", without_users))


def without_paths(text: str) -> str:
    """Return the text with only the last part of each absolute path: ``/home/ann/tiny.py`` becomes ``tiny.py``."""
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else _ABSOLUTE.sub("", _QUOTED.sub("", text))


def has_paths(text: str) -> bool:
    """Tell whether there is an absolute path in a text."""
    return _ABSOLUTE.search(text) is not None
