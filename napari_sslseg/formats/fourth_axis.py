"""An axis beside the spatial ones: channels of one volume, or volumes one after another.

Few formats say which of the two it is, and those that do are often filled in wrongly. So a short
axis is taken for channels (the sequences of one patient, or colours), and of a long one, or one
that is certainly time, the user has to choose a volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .choice import Choice, SeveralVolumesError
from .errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

#: Longest axis that is taken for channels where nobody says that it is time.
MOST_CHANNELS = 8

#: Key of the choice to take all of them as channels.
ALL = "all"


def channels_or_one(
    path: Path, array: Any, axis: int, part: str | None, *, time: bool = False
) -> tuple[Any, str]:
    """Return the array with channels last, or without the axis, and the key of what was chosen.

    Parameters
    ----------
    path : Path
        For messages.
    array : array
        With one axis more than the spatial ones; sliced, not copied.
    axis : int
        Which one.
    part : str, optional
        ``"1"`` to the axis' length for one volume, ``"all"`` for channels unless it is time; None
        leaves it to the rule above.
    time : bool
        Whether the axis is known to be time, and so no channels.

    Raises
    ------
    SeveralVolumesError
        If the user has to choose.
    FormatError
        If `part` is none of the choices.
    """
    length = int(array.shape[axis])
    if part is None and not time and length <= MOST_CHANNELS:
        return np.moveaxis(array, axis, -1), ""
    word = "time point" if time else "volume"
    shape = tuple(int(n) for n in (*array.shape[:axis], *array.shape[axis + 1 :]))
    choices = [Choice(str(n + 1), f"{word} {n + 1} of {length}", shape) for n in range(length)]
    if not time:
        choices.append(Choice(ALL, f"all {length} as channels of one volume", shape))
    if part is None:
        raise SeveralVolumesError(str(path), choices)
    if part == ALL and not time:
        return np.moveaxis(array, axis, -1), ALL
    if part not in {choice.key for choice in choices}:
        raise FormatError(f"{path} holds no {word} {part!r}; choose one of 1 to {length}.")
    return array[(slice(None),) * axis + (int(part) - 1,)], part


def remark_on_channels(array: Any, chosen: str) -> tuple[str, ...]:
    """Say, in no sentence or one, that a fourth axis was taken for channels by its length alone.

    Parameters
    ----------
    array : array
        As `channels_or_one` returns it.
    chosen : str
        The key that it returns.
    """
    if array.ndim < 4 or chosen:
        return ()
    return (
        f"The fourth axis of the file, of {array.shape[-1]}, is taken for channels of one image; "
        "if it is time, save each of its volumes by itself.",
    )


def refuse_choice(path: Path, part: str | None) -> None:
    """Refuse a part that was chosen of a file that holds one volume.

    Raises
    ------
    FormatError
        If one was chosen.
    """
    if part:
        raise FormatError(f"{path} holds one volume, none that is called {part!r}; leave it out.")
