"""Which classes an estimate of the quality speaks of.

The trainer tells the Dice of each class by the name that it had when training began, followed by
its id where two had the same. Classes are renamed and removed afterwards; the names before that are
kept in the project's settings, so that an estimate can be read by them, in later sessions too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.events import Estimated
    from ..volume.classes import ClassTable
    from ..volume.project import Project

#: Key in the project's settings: tables of names that are no longer in force, the oldest first.
_SETTING = "former_class_names"

#: Tables that are kept; estimates from before them are long gone.
_MOST = 50


@dataclass(frozen=True)
class EstimatedClass:
    """What is estimated of one class.

    Parameters
    ----------
    id : int or None
        Label value; None where nobody knows which class it was.
    name : str
        What it is called now, or was when that is not known.
    dice : float
    spread : float or None
    """

    id: int | None
    name: str
    dice: float
    spread: float | None


def estimated_classes(estimate: Estimated, project: Project) -> list[EstimatedClass]:
    """Return what an estimate says, by the classes as they are now.

    A name that classes have exchanged is left out if it may mean either of them.
    """
    current = {item.id: item.name for item in project.classes}
    former = [_names_in(row) for row in project.settings.get(_SETTING, [])]
    ids = _ids_of(estimate.dice, [*former, current])
    found = []
    for name, dice in estimate.dice.items():
        class_id = ids.get(name)
        if class_id is None and name in current.values():
            continue
        shown = name if class_id is None else shown_name(class_id, project.classes, name)
        found.append(EstimatedClass(class_id, shown, dice, estimate.spread.get(name)))
    return found


def shown_name(class_id: int, classes: ClassTable, otherwise: str = "") -> str:
    """Return the name of a class, with its id where another one is called the same.

    Parameters
    ----------
    class_id : int
    classes : ClassTable
    otherwise : str, optional
        For a class that is no longer in the table.
    """
    if class_id not in classes:
        return otherwise or classes.name(class_id)
    name = classes[class_id].name
    uses = Counter(item.name for item in classes)
    return name if uses[name] == 1 else f"{name} ({class_id})"


def remember_names(project: Project) -> None:
    """Keep the names that the classes have, as they are about to change."""
    names = {str(item.id): item.name for item in project.classes}
    _keep(project, [{"until": time.time(), "names": names}])


def carry_names(source: Project, target: Project) -> None:
    """Let another volume of the project know the names that the classes had, too."""
    _keep(target, source.settings.get(_SETTING, []))


def _keep(project: Project, rows: Iterable[dict[str, Any]]) -> None:
    known = project.settings.get(_SETTING, [])
    new = [row for row in rows if row not in known]
    if new:
        merged = sorted([*known, *new], key=lambda row: float(row["until"]))
        # A new object: the old one may just be written by the thread that saves.
        project.settings = {**project.settings, _SETTING: merged[-_MOST:]}


def _names_in(row: Mapping[str, Any]) -> dict[int, str]:
    return {int(class_id): str(name) for class_id, name in row["names"].items()}


def _ids_of(names: Iterable[str], tables: list[dict[int, str]]) -> dict[str, int]:
    """Return the ids that names mean in the tables that know most of them, if these agree."""
    wanted = list(names)
    found = [_known_in(table, wanted) for table in tables]
    most = max(map(len, found))
    best = [ids for ids in found if len(ids) == most]
    meant = {name: {ids[name] for ids in best if name in ids} for name in wanted}
    sure = {name: next(iter(ids)) for name, ids in meant.items() if len(ids) == 1}
    uses = Counter(sure.values())
    return {name: class_id for name, class_id in sure.items() if uses[class_id] == 1}


def _known_in(table: Mapping[int, str], names: Iterable[str]) -> dict[str, int]:
    """Return the ids of the names that mean one class of a table, alone or with the id behind."""
    uses = Counter(table.values())
    known = {name: class_id for class_id, name in table.items() if uses[name] == 1}
    numbered = {f"{name} ({class_id})": class_id for class_id, name in table.items()}
    ids = numbered | known
    return {name: ids[name] for name in names if name in ids}
