"""Which class id each named label of a file gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, voxel_counts
from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..volume.classes import ClassTable


def by_name(
    path: str,
    labels: NDArray[np.uint8],
    said: dict[int, str],
    classes: ClassTable | None,
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Return labels with the ids of the classes of their names, and the names by these ids."""
    present = [int(i) for i in np.flatnonzero(voxel_counts(labels))]
    said = {value: said[value] for value in present if value in said}
    nameless = {i for i in present if i not in said}
    ids = class_ids(path, said, classes, nameless)
    names = {ids[value]: name for value, name in said.items()}
    if all(value == class_id for value, class_id in ids.items()):
        return labels, names
    table = np.arange(256, dtype=np.uint8)
    table[list(ids)] = list(ids.values())
    return table[labels], names


def class_ids(
    path: str, names: dict[int, str], classes: ClassTable | None, taken: Iterable[int] = ()
) -> dict[int, int]:
    """Return a class id for each named value: of the class of that name, else one not `taken`."""
    known = {item.name.casefold(): item.id for item in classes or ()}
    ids = {n: known[name.casefold()] for n, name in names.items() if name.casefold() in known}
    used = {*taken, *known.values()}
    for number in names:
        if number not in ids:
            wanted = (number,) if number < NOT_ANNOTATED else ()
            free = (i for i in (*wanted, *range(1, NOT_ANNOTATED)) if i not in used)
            ids[number] = next(free, BACKGROUND)
            if ids[number] == BACKGROUND:
                raise FormatError(
                    f"{path} has {len(names)} labels, more than there are free class ids; remove "
                    "classes, or leave labels out of it."
                )
            used.add(ids[number])
    return ids
