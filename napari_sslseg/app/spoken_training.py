"""What the trainer says, in the words of who uses it; its own words go into tooltips."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .estimated_classes import EstimatedClass, shown_name
from .step import spoken_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..volume.classes import ClassTable

#: Details of the network in the plan of a run.
_PLAN = re.compile(r"(Training on the \w+): .*? a step(, [^.]*)?\.")

_LEFT_OUT = re.compile(r"By (\d+ references?) left out in turn(, and the confidence)?\.")
_MATCHING = "Reference matching"


def spoken_left(seconds: float | None) -> str:
    """Return how long a run still takes; a budget that is used up says that it ends."""
    if seconds is None:
        return ""
    return "finishing…" if seconds < 1 else f"{spoken_duration(seconds)} left"


def brief_plan(plan: str) -> str:
    """Return the plan of a run without the details of its network."""
    return _PLAN.sub(r"\1.", plan)


def spoken_how(how: str) -> str:
    """Return in a sentence what an estimate rests on."""
    if found := _LEFT_OUT.fullmatch(how):
        each = " in turn" if found[1] != "1 reference" else ""
        more = ", and weighed with the confidence" if found[2] else ""
        return f"It was tested on {found[1]} left out{each}{more}."
    if how.startswith(_MATCHING):
        listed = how if ", and " in how else how.replace(", the effect", " and the effect")
        return f"It rests on {listed[0].lower()}{listed[1:]}"
    return how


def without_estimate(rows: Iterable[EstimatedClass], classes: ClassTable) -> str:
    """Say of which classes an estimate says nothing, and why; empty when of none."""
    told = {row.id for row in rows}
    missing = [shown_name(item.id, classes) for item in classes if item.id not in told]
    if not missing:
        return ""
    return f"None for {', '.join(missing)}: too few of the tested references show it."
