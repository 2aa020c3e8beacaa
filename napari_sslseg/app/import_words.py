"""What is said of labels that have become ink."""

from __future__ import annotations

import numpy as np

from ..formats.label_survey import describe_slices
from ..volume.annotation import SliceState
from .slice_index import SliceIndex


def words_of_ink(any_came: bool, name: str, index: SliceIndex | None, painted: bool) -> str:
    """Say which slices labels came into.

    Parameters
    ----------
    any_came : bool
    name : str
        Of their file.
    index : SliceIndex or None
        What the file holds.
    painted : bool
        Whether there was ink before.
    """
    if not any_came or index is None:
        return (
            f"Nothing imported: {name} says nothing where you have not already painted, or a "
            "stroke was being drawn; then import again."
        )
    whole, part = (
        tuple(int(z) for z in np.flatnonzero(index.states == state))
        for state in (SliceState.WHOLE, SliceState.PARTIAL)
    )
    parts = [f"{describe_slices(whole)} of {name} {_are(whole)} References now"] if whole else []
    if part:
        where = describe_slices(part) + ("" if whole else f" of {name}")
        parts.append(f"{where} {_are(part)} partly labelled")
    stays = "; what you had painted stays" if painted else ""
    return f"{', and '.join(parts)}{stays}."


def _are(slices: tuple[int, ...]) -> str:
    return "is" if len(slices) == 1 else "are"
