"""Which classes an estimate of the quality speaks of.

The trainer tells the Dice of each class by the name that it had when training began, and which one
that was. Classes are renamed and removed afterwards: an estimate is read by what they are now.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..training.wording import basis

if TYPE_CHECKING:
    from ..training.events import Estimated
    from ..volume.classes import ClassTable
    from .session import Session


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


def estimated_classes(estimate: Estimated, classes: ClassTable) -> list[EstimatedClass]:
    """Return what an estimate says, by the classes as they are now."""
    found = []
    for name, dice in estimate.dice.items():
        class_id = estimate.ids.get(name)
        shown = name if class_id is None else shown_name(class_id, classes, name)
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


def estimate_record(estimate: Estimated, classes: ClassTable) -> dict[str, Any]:
    """Return an estimate as JSON values, by the names that classes have now.

    A class that was removed may have had the name of another one: its label value tells them apart.
    """
    rows = estimated_classes(estimate, classes)
    uses = Counter(row.name for row in rows)
    told = [(row.name if uses[row.name] == 1 else f"{row.name} ({row.id})", row) for row in rows]
    return {
        **asdict(estimate),
        "how": basis(estimate),
        "dice": {name: row.dice for name, row in told},
        "spread": {name: row.spread for name, row in told if row.spread is not None},
        "ids": {name: row.id for name, row in told if row.id is not None},
    }


def why_no_estimate(session: Session) -> str:
    """Say why nothing is estimated of the proposal in view."""
    proposal = session.shelf.in_view()
    info = proposal.info if proposal is not None else {}
    if info.get("method") == "imported":
        return "none for imported labels."
    names = info.get("learned_from")
    if isinstance(names, list):
        return f"none available. Learned from {', '.join(names[:3])}; nothing here supports it."
    if len(session.references.references()) < 3:
        return "needs at least three reference slices."
    if session.training.busy:
        return "follows, once it was tested on references that are left out."
    return "not tested yet; the next training does."
