"""The class table: what each label id means and looks like."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .annotation import BACKGROUND as BACKGROUND
from .annotation import NOT_ANNOTATED
from .terminology import Code, Terms, terms_for

if TYPE_CHECKING:
    import numpy.typing as npt

#: Told apart by eyes with the common colour-vision deficiencies too, and none is a region colour.
DEFAULT_COLORS = (
    "#2fd6a3",
    "#8040ff",
    "#a0ff00",
    "#ff60c0",
    "#008080",
    "#00a0ff",
    "#c0c060",
    "#60e0ff",
    "#c020c0",
    "#208040",
)


@dataclass(frozen=True)
class SegmentClass:
    """One class of the segmentation.

    Parameters
    ----------
    id : int
        Label value, 1 to 254 (0 is background, 255 means not annotated).
    name : str
        What a person calls it.
    color : str
        ``#rrggbb``.
    code : Code, optional
        What the class is in a terminology, if the user says so; else its name decides.
    """

    id: int
    name: str
    color: str
    code: Code | None = None

    def __post_init__(self) -> None:
        if not BACKGROUND < self.id < NOT_ANNOTATED:
            raise ValueError(f"Class ids run from 1 to 254, not {self.id}.")
        if not self.name.strip():
            raise ValueError("A class needs a name.")

    @property
    def terms(self) -> Terms:
        """What the class is called in a terminology: by its code, else by its name."""
        return terms_for(self.name, self.code)


class ClassTable:
    """The classes of a project, in the order of their ids.

    The id of a class that was removed is not given to another one: undo, a proposal or another
    volume may still hold voxels of it, which would become what they never were.

    Parameters
    ----------
    classes : iterable of SegmentClass
        Ids must be unique.
    """

    def __init__(self, classes: Iterable[SegmentClass] = ()) -> None:
        self._by_id: dict[int, SegmentClass] = {}
        self._removed: dict[int, SegmentClass] = {}
        for item in classes:
            if item.id in self._by_id:
                raise ValueError(f"Two classes have the id {item.id}.")
            self._by_id[item.id] = item

    @classmethod
    def from_ids(cls, ids: Iterable[int]) -> ClassTable:
        """Make a table with default names and colours for label ids met in a file.

        Parameters
        ----------
        ids : iterable of int
            0 and 255, which are no classes, are passed over.

        Raises
        ------
        ValueError
            When another one is not from 1 to 254.
        """
        table = cls()
        table.meet(ids)
        return table

    def __iter__(self) -> Iterator[SegmentClass]:
        return iter(self._by_id[i] for i in sorted(self._by_id))

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, class_id: object) -> bool:
        return class_id in self._by_id

    def __getitem__(self, class_id: int) -> SegmentClass:
        return self._by_id[class_id]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassTable):
            return False
        return self._by_id == other._by_id and self._removed == other._removed

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids in rising order, background not included."""
        return tuple(sorted(self._by_id))

    def add(self, name: str | None = None) -> SegmentClass:
        """Add a class with the lowest id that no class has or had, and the next colour.

        Parameters
        ----------
        name : str, optional
            ``Class`` and the id, when missing or empty.

        Raises
        ------
        ValueError
            When all 254 ids are taken, or the name is nothing but spaces.
        """
        taken = {*self._by_id, *self._removed}
        free = next((i for i in range(1, NOT_ANNOTATED) if i not in taken), None)
        if free is None:
            raise ValueError(
                "A project has at most 254 classes, those that were removed included; rename one "
                "that you no longer need."
            )
        item = SegmentClass(free, name or f"Class {free}", _default_color(free))
        self._by_id[free] = item
        return item

    def set(self, item: SegmentClass) -> None:
        """Insert a class, or replace the one with the same id, also a removed one."""
        self._by_id[item.id] = item
        self._removed.pop(item.id, None)

    def meet(self, ids: Iterable[int]) -> bool:
        """Make classes of label values that were met without one; those removed come back.

        Parameters
        ----------
        ids : iterable of int
            0 and 255 are passed over.

        Returns
        -------
        bool
            Whether there were any.

        Raises
        ------
        ValueError
            When another one is not from 1 to 254.
        """
        new = {int(i) for i in ids} - {BACKGROUND, NOT_ANNOTATED, *self._by_id}
        for value in new:
            default = SegmentClass(value, f"Class {value}", _default_color(value))
            self.set(self._removed.get(value, default))
        return bool(new)

    @property
    def removed_ids(self) -> tuple[int, ...]:
        """Ids of the classes that were removed, in rising order."""
        return tuple(sorted(self._removed))

    def covering(self, ids: Iterable[int]) -> ClassTable:
        """Return a copy with a class for each of these label values, too; errors as of `meet`."""
        table = copy.deepcopy(self)
        table.meet(ids)
        return table

    def rename(self, class_id: int, name: str) -> SegmentClass:
        """Give a class another name; its id and colour stay, a code of the old name does not.

        Raises
        ------
        KeyError
            When no class has the id.
        ValueError
            When the name is empty.
        """
        item = self._by_id[class_id]
        if name.strip() != item.name:
            self._by_id[class_id] = replace(item, name=name.strip(), code=None)
        return self._by_id[class_id]

    def recode(self, class_id: int, code: Code | None) -> SegmentClass:
        """Say what a class is in a terminology; None lets its name decide. KeyError if missing."""
        self._by_id[class_id] = replace(self._by_id[class_id], code=code)
        return self._by_id[class_id]

    def recolor(self, class_id: int, color: str) -> SegmentClass:
        """Give a class another colour (``#rrggbb``, not checked). KeyError if it is missing."""
        self._by_id[class_id] = replace(self._by_id[class_id], color=color)
        return self._by_id[class_id]

    def remove(self, class_id: int) -> None:
        """Take a class out of the table. Voxels are not touched: that is the caller's choice.

        Raises
        ------
        KeyError
            When no class has the id.
        """
        self._removed[class_id] = self._by_id.pop(class_id)

    def name(self, class_id: int) -> str:
        """Name of any label value, background and "not annotated" included; never an error."""
        if class_id == BACKGROUND:
            return "Background"
        if class_id == NOT_ANNOTATED:
            return "Not annotated"
        item = self._by_id.get(class_id)
        return item.name if item else f"Class {class_id}"

    def to_json(self) -> list[dict[str, object]]:
        """Return the table as plain JSON values, removed classes last."""
        return [
            {
                "id": c.id,
                "name": c.name,
                "color": c.color,
                "code": c.code.to_json() if c.code else "",
                **({"removed": True} if c.id in self._removed else {}),
            }
            for c in [*self, *self._removed.values()]
        ]

    @classmethod
    def from_json(cls, rows: Iterable[dict[str, object]]) -> ClassTable:
        """Read what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError
            When a row is no mapping with the keys ``id``, ``name`` and ``color``.
        ValueError
            When an id, name or code cannot be, or two classes, or two removed ones, have one id.
        """
        table = cls()
        for row in rows:
            item = SegmentClass(
                int(str(row["id"])),
                str(row["name"]),
                str(row["color"]),
                Code.from_json(row.get("code")),
            )
            there = table._removed if row.get("removed") else table._by_id
            if item.id in there:
                raise ValueError(f"Two classes have the id {item.id}.")
            there[item.id] = item
        return table


def voxel_counts(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return how many voxels of each of the 256 label values there are, as int64 of shape (256,).

    Slab by slab, as counting needs eight times the memory of what is counted. Labels are uint8, of
    any shape.
    """
    slabs = np.moveaxis(labels, int(np.argmax(np.abs(labels.strides))), 0)
    found = np.zeros(256, dtype=np.int64)
    for slab in slabs:
        found += np.bincount(np.ravel(slab), minlength=256)
    return found


def _default_color(class_id: int) -> str:
    return DEFAULT_COLORS[(class_id - 1) % len(DEFAULT_COLORS)]
