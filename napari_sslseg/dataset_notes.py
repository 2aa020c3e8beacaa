"""Remarks on the files of a data set, which may be many."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Remarks that are printed before the others are only counted.
_MOST = 10


class FileNotes:
    """Prints remarks on files to stderr, each once, and as few that they can be read.

    As a context it says, however that ends, how many remarks were left out.
    """

    def __init__(self) -> None:
        self._known: set[tuple[Path, str]] = set()

    def say(self, path: Path, remarks: Iterable[str]) -> None:
        """Print what is remarkable about a file, unless there was much to say already.

        Parameters
        ----------
        path
            Of the file.
        remarks
            Sentences.
        """
        for remark in remarks:
            if (path, remark) in self._known:
                continue
            self._known.add((path, remark))
            if len(self._known) <= _MOST:
                print(f"Note: {path}: {remark}", file=sys.stderr)

    def __enter__(self) -> FileNotes:
        return self

    def __exit__(self, *error: object) -> None:
        if len(self._known) > _MOST:
            print(f"Note: and {len(self._known) - _MOST} more of such notes.", file=sys.stderr)
