"""Where the sources of templates come from: the user's Python files, or files of their own."""

from __future__ import annotations

import linecache
import os
import re
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class InlineSource:
    """A source given as text, and the Python file whose code gave it."""

    file_name: str
    text: str
    python_file: str

    def first_line(self) -> int | None:
        """The line of the Python file at which the text begins. None: it isn't there verbatim."""
        whole = "".join(linecache.getlines(self.python_file))
        at = whole.find(self.text)
        if at < 0 or not self.text.strip():
            return None
        return whole.count("\n", 0, at) + 1


# By file name: what the compiler's messages and manifests say. The latest of a name is meant.
_inline: dict[str, InlineSource] = {}
_files: dict[str, str] = {}
_ambiguous: set[str] = set()


def note_file(path: str) -> None:
    """Remembers a file that a template was read from."""
    if os.path.isfile(path):
        name = os.path.basename(path)
        _note_other(name, _files.get(name, path) != path or name in _inline)
        _files[name] = os.path.abspath(path)


def _note_other(name: str, is_other: bool) -> None:
    if is_other:
        _ambiguous.add(name)


def is_ambiguous(file_name: str) -> bool:
    """Whether several sources have had this name."""
    return file_name in _ambiguous


def find_file(file_name: str) -> str | None:
    """The path of the file of this name that a template was read from."""
    return _files.get(file_name)


def note(file_name: str, text: str, depth: int) -> None:
    """Remembers a text, given by the code that stands `depth` calls above this one."""
    try:
        python_file = sys._getframe(depth + 1).f_code.co_filename
    except ValueError:
        return
    known = _inline.get(file_name)
    _note_other(file_name, (known is not None and known.text != text) or file_name in _files)
    _inline[file_name] = InlineSource(file_name, text, python_file)


def find(file_name: str) -> InlineSource | None:
    """The text that was given under this name."""
    return _inline.get(file_name)


def point_at_python(message: str, detail: str) -> tuple[str, str]:
    """Adds to a compiler's message which line of the user's Python file it is about."""
    for source in list(_inline.values()):
        found = re.search(rf"(?<![\w./-]){re.escape(source.file_name)}[:(](\d+)", message)
        if found is None:
            continue
        first = source.first_line()
        if first is None:
            return message, detail
        line = first + int(found.group(1)) - 1
        return f"{message} [{source.python_file}:{line}]", detail
    return message, detail
