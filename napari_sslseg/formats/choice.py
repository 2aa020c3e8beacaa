"""A source that holds several volumes, of which the user has to choose one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Choices that an error message names; a list of all of them is in its `choices`.
_NAMED = 6


@dataclass(frozen=True)
class Choice:
    """One of the volumes that a file or folder holds.

    Parameters
    ----------
    key : str
        Chooses it: the ``part`` of `formats.read`. The same for the same files on every machine.
    title : str
        One line for the user.
    shape : tuple of int
        Spatial shape in the order of its file; empty where only reading it would tell.
    """

    key: str
    title: str
    shape: tuple[int, ...] = ()


class SeveralVolumesError(FormatError):
    """A source holds several volumes and none was chosen.

    Parameters
    ----------
    source : str
        Path of the file or folder.
    choices : sequence of Choice
        What it holds, in its own order.
    """

    def __init__(self, source: str, choices: Sequence[Choice]) -> None:
        self.source = source
        self.choices = tuple(choices)
        named = "; ".join(f"{c.key} = {c.title}" for c in self.choices[:_NAMED])
        more = len(self.choices) - _NAMED
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{source} holds several volumes, choose one of them ({named}{rest}).")
