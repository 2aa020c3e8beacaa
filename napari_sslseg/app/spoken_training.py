"""What the trainer says, in the words of who uses it; the engine's own go into tooltips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..training import wording
from ..training.facts import Witness
from .estimated_classes import shown_name
from .step import spoken_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..training.events import Estimated, Planned, Started
    from ..volume.classes import ClassTable
    from .estimated_classes import EstimatedClass


def spoken_left(seconds: float | None) -> str:
    """Return how long a run still takes; a budget that is used up says that it ends."""
    if seconds is None:
        return ""
    return "finishing…" if seconds < 1 else f"{spoken_duration(seconds)} left"


def spoken_start(event: Started, host: str = "") -> str:
    """Return on what a run works; `host` is another computer's name."""
    return wording.said(event) if not host else f"Works on the {_device(event.device, host)}."


def brief_plan(plan: Planned, host: str = "") -> str:
    """Return on what a network is trained and who else teaches it, without details of the network.

    Those are in `wording.plan`. `host` is another computer's name.
    """
    who = wording.others(plan.others)
    return f"Training on the {_device(plan.device, host)}.{' ' if who else ''}{who}"


def _device(name: str, host: str) -> str:
    return wording.device(name) + (f" of {host}" if host else "")


def spoken_basis(estimate: Estimated) -> str:
    """Return in a sentence what an estimate rests on."""
    on = estimate.basis
    if on.witness == Witness.LEFT_OUT:
        each = "each left out in turn" if on.slices != 1 else "left out"
        more = ", and by how sure the voxels are" if on.confidence else ""
        return f"Tested on {wording.counted(on.slices, 'reference')}, {each}{more}."
    if on.witness == Witness.TRAINED:
        known = "" if on.matching is None else f" ({on.matching:.2f})"
        taught = f" and on {wording.counted(on.others, 'other volume')}" if on.others else ""
        effect = f"what training on it{taught} changed"
        told = f", {effect}, and how sure the voxels are" if on.confidence else f" and {effect}"
        return f"It rests on reference matching{known}{told}."
    return wording.basis(estimate)


def without_estimate(rows: Iterable[EstimatedClass], classes: ClassTable) -> str:
    """Say of which classes an estimate says nothing, and why; empty when of none."""
    told = {row.id for row in rows}
    missing = [shown_name(item.id, classes) for item in classes if item.id not in told]
    if not missing:
        return ""
    return f"None for {', '.join(missing)}: too few of the tested references show it."
