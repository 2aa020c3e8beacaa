"""What a run plans, does and finds out, as plain values that its events carry.

They survive JSON: names of a kind are strings, and a message of a newer version may hold one that
is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """What a run does at the moment."""

    SENDING = "sending"
    READING = "reading"
    MATCHING = "matching"
    MATCHING_ALL = "matching all volumes"
    TESTING_MATCHING = "testing the matching"
    TESTING_NETWORK = "testing the network"
    TRAINING = "training"
    TRAINING_SHARED = "training on several volumes"
    PROPOSING = "proposing"
    WRITING = "writing"
    DONE = "done"


class Verdict(StrEnum):
    """What the labelled slices have told of what other volumes teach."""

    NONE = "none"
    DOUBTED = "doubted"
    DISMISSED = "dismissed"


@dataclass(frozen=True)
class Others:
    """The other volumes of a project, as far as they were to teach a run.

    Parameters
    ----------
    names : list of str
        Those that teach, or have taught in vain.
    verdict : str
        A `Verdict`; those that are dismissed teach no longer.
    missed : list of str
        Those that should teach and cannot.
    """

    names: list[str] = field(default_factory=list)
    verdict: str = Verdict.NONE
    missed: list[str] = field(default_factory=list)

    @property
    def teach(self) -> bool:
        """Whether any of them teaches."""
        return bool(self.names) and self.verdict != Verdict.DISMISSED


class Witness(StrEnum):
    """What tells how good a proposal is."""

    LEFT_OUT = "left out"
    """References that were left out of the matching in turn."""
    MATCHING = "matching"
    """The same: the network has not learned enough to be heard, the proposal is the matching's."""
    TRAINED = "trained"
    """The same, and by how much training made it better."""
    UNAIDED = "unaided"
    """Labelled slices, before the network that other volumes had taught learned from them."""


@dataclass(frozen=True)
class Basis:
    """What an estimate rests on.

    Parameters
    ----------
    witness : str
        A `Witness`.
    slices : int
        Labelled slices that it was tested on.
    confidence : bool
        Whether the confidence of the voxels was weighed in.
    matching : float or None
        Estimated Dice of the matching, where training has started from that.
    others : int
        Other volumes that taught.
    """

    witness: str
    slices: int = 0
    confidence: bool = False
    matching: float | None = None
    others: int = 0


@dataclass(frozen=True)
class NoRoom:
    """A volume that a network for several cannot learn from, as the memory does not hold it.

    Parameters
    ----------
    name : str
    needed, left, budget : int
        Bytes that it takes, that are left for it, and that may be used in all.
    asked : bool
        Whether the user said how much may be used; else it is half of what is free.
    """

    name: str
    needed: int
    left: int
    budget: int
    asked: bool = False


@dataclass(frozen=True)
class SharedLesson:
    """What a network for volumes without labels has learned.

    Parameters
    ----------
    volumes, missed : list of str
        Those that it learned from, and those that cannot be used.
    fit : float
        Its Dice on the slices that it was taught.
    enough : bool
        Whether that is enough.
    no_room : NoRoom or None
        The first of those for which there was no room.
    """

    volumes: list[str]
    fit: float
    enough: bool
    missed: list[str] = field(default_factory=list)
    no_room: NoRoom | None = None
