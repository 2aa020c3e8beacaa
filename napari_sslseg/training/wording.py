"""What a run says, in sentences for a command line, a log or a record. Free of torch.

The panel has words of its own for most of it (`app/spoken_training.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..volume.sizes import spoken
from .events import (
    Estimated,
    Event,
    NetworkBroken,
    NetworkUnsaved,
    Planned,
    Progress,
    Started,
    VolumeBegun,
    VolumeProposed,
)
from .facts import NoRoom, Others, Phase, SharedLesson, Verdict, Witness

BROKEN = (
    "The network went wrong in training, as its numbers are no longer finite: the proposal is that "
    "of the matching, and an earlier network is kept."
)

_PHASES: dict[str, str] = {
    Phase.SENDING: "Copying to the other computer",
    Phase.READING: "Reading the image",
    Phase.MATCHING: "Matching the references",
    Phase.MATCHING_ALL: "Matching the references of all volumes",
    Phase.TESTING_MATCHING: "Testing on left-out references",
    Phase.TESTING_NETWORK: "Testing the training",
    Phase.TRAINING: "Training",
    Phase.PROPOSING: "Proposing",
    Phase.WRITING: "Writing the proposal",
    Phase.DONE: "Done",
}


def said(event: Event) -> str:
    """Return a line that says what an event does; empty for one that other means show better."""
    if isinstance(event, Started):
        return f"Works on the {device(event.device)}{_within(event.memory)}."
    if isinstance(event, Planned):
        return plan(event)
    if isinstance(event, NetworkBroken):
        return BROKEN
    if isinstance(event, NetworkUnsaved):
        return f"The network could not be kept. {event.message}"
    if isinstance(event, Progress):
        return f"{event.fraction:4.0%} {phase(event)}"
    if isinstance(event, VolumeBegun):
        return f"{event.name} ({event.number} of {event.count})"
    return ""


def phase(event: Progress) -> str:
    """Return what a run does at the moment; a phase that is not known here by its own name."""
    if event.phase == Phase.TRAINING_SHARED:
        return f"Learning from {named(event.volumes)}"
    return _PHASES.get(event.phase, event.phase)


def device(name: str) -> str:
    """Return what a user calls a device that torch calls so."""
    return "processor" if name == "cpu" else "GPU"


def plan(event: Planned) -> str:
    """Return how a network is trained, in detail."""
    reduced = f" at 1/{event.reduction} resolution" if event.reduction > 1 else ""
    network = (
        f"Training on the {device(event.device)}: {event.framework.replace('_', ' ')}, frames of "
        f"{'×'.join(map(str, event.frame))}{reduced}, {event.labelled} labelled and "
        f"{event.unlabelled} unlabelled a step{_within(event.memory)}."
    )
    return " ".join(part for part in (network, others(event.others)) if part)


def others(given: Others) -> str:
    """Return who else teaches; empty where nobody should."""
    names, told = named(given.names), ""
    if given.verdict == Verdict.DISMISSED:
        told = f"On the labelled slices {names} did not help; goes on without."
    elif given.verdict == Verdict.DOUBTED:
        told = f"Learns from {names} as well, but finds little of it on the labelled slices."
    elif given.names:
        told = f"Learns from {names} as well."
    return " ".join(part for part in (told, missed(given.missed)) if part)


def named(names: Sequence[str]) -> str:
    """Return the names of some volumes, of many the first ones."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def missed(names: Sequence[str]) -> str:
    """Return which volumes should teach and cannot; empty without any."""
    if not names:
        return ""
    return f"{named(names)} cannot be used and teach{'es' * (len(names) == 1)} nothing."


def counted(number: int, noun: str) -> str:
    """Return so many of something."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def basis(estimate: Estimated) -> str:
    """Return what an estimate rests on."""
    on = estimate.basis
    if on.witness == Witness.LEFT_OUT:
        confidence = ", and the confidence" if on.confidence else ""
        return f"By {counted(on.slices, 'reference')} left out in turn{confidence}."
    if on.witness == Witness.MATCHING:
        return "The network needs more time to learn; until then this is the matching."
    if on.witness == Witness.TRAINED:
        known = "" if on.matching is None else f" ({on.matching:.2f})"
        taught = f" and on {counted(on.others, 'other volume')}" if on.others else ""
        confidence = ", and the confidence" if on.confidence else ""
        return f"Reference matching{known}, the effect of training on it{taught}{confidence}."
    if on.witness == Witness.UNAIDED:
        slices = counted(on.slices, "labelled slice")
        rough = "; only roughly what it is elsewhere" if estimate.rough else ""
        return f"Measured on {slices} before the network learned from this volume{rough}."
    return ""  # one that only a later version knows


def proposed(event: VolumeProposed) -> str:
    """Return how good a proposal of a batch is, and how it was made."""
    if event.lesson is not None:
        return lesson(event.lesson)
    return "No estimate." if event.dice is None else f"Estimated Dice {event.dice:.2f}."


def lesson(learned: SharedLesson) -> str:
    """Return what a network for volumes without labels has learned, and what that is worth."""
    names = named(learned.volumes)
    if learned.enough:
        told = f"By a network that learned from {names}; nothing here is labelled, so its quality "
        told += "cannot be estimated."
    else:
        told = (
            f"The network has not learned enough yet: even on the slices of {names} that it "
            f"was taught its Dice is {learned.fit:.2f}. Give it more time, and propose again."
        )
    room = ""
    if learned.no_room is not None:
        room = f"For others there was no room in the memory: {no_room(learned.no_room)}."
    return " ".join(part for part in (told, missed(learned.missed), room) if part)


def no_room(room: NoRoom) -> str:
    """Return why a volume cannot be learned from, as a part of a sentence."""
    return f"{room.name} needs {needed(room)}, and {left(room)}"


def needed(room: NoRoom) -> str:
    """Return how much memory a volume needs."""
    return f"{spoken(room.needed)} of memory"


def left(room: NoRoom) -> str:
    """Return how much memory there is for it, as a part of a sentence."""
    why = "as asked for" if room.asked else "half of what is free"
    return f"{spoken(room.left)} of {spoken(room.budget)} ({why}) is left for it"


def _within(memory: int | None) -> str:
    return "" if memory is None else f", in blocks within {spoken(memory)} of memory"
