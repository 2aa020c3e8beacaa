"""What a strategy answers: a slice, how much it promises, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suggestion:
    """A slice worth the user's time.

    Parameters
    ----------
    index : int
        Along the slicing axis.
    score : float
        What it promises; comparable within one strategy, over volumes too.
    reason : str
        In words, to follow "Slice 12:".
    volume : str
        Which volume of a project; empty where there is but one.
    """

    index: int
    score: float
    reason: str
    volume: str = ""
