"""What a training run says while it works: small messages, plain values only.

Arrays never travel here; they are in the project folder, and `ProposalReady` only says that a
new version is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Event:
    """Base of all messages; ``kind`` names the class on the wire."""

    kind: ClassVar[str] = ""
    _kinds: ClassVar[dict[str, type[Event]]] = {}

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__
        Event._kinds[cls.kind] = cls

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"kind": self.kind, **asdict(self)})

    @staticmethod
    def from_json(line: str) -> Event | None:
        """Read a line that `to_json` wrote; None for anything else (a stray print, say)."""
        try:
            data = json.loads(line)
            return Event._kinds[data.pop("kind")](**data)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class Started(Event):
    """Training has begun; `plan` is one readable line (device, network, patch, batch)."""

    device: str
    plan: str


@dataclass(frozen=True)
class Progress(Event):
    """Share of the run that is done, what it does now, and the seconds that are left."""

    phase: str
    fraction: float
    seconds_left: float | None = None


@dataclass(frozen=True)
class Loss(Event):
    """Mean losses since the last such message."""

    step: int
    seconds: float
    total: float
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Quality(Event):
    """Dice on reference slices that were left out of training at that moment."""

    step: int
    seconds: float
    dice: float
    baseline: float | None = None


@dataclass(frozen=True)
class ProposalReady(Event):
    """A new version of a proposal is in the project folder."""

    slug: str
    name: str
    version: int
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimated(Event):
    """Estimated Dice of a proposal on the slices without ink: per class with spread, and mean.

    Classes go by the names that they had when training began, with the id behind where two had the
    same; `ids` tells which class each was. A rough estimate says nothing of which of two versions
    is better.
    """

    slug: str
    dice: dict[str, float]
    mean: float
    low: float
    high: float
    how: str
    spread: dict[str, float] = field(default_factory=dict)
    rough: bool = False
    ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class VolumeBegun(Event):
    """A batch has come to one of its volumes, `number` of `count`."""

    volume: str
    name: str
    number: int
    count: int


@dataclass(frozen=True)
class VolumeProposed(Event):
    """A volume of a batch has new proposals; `how` is one readable line."""

    volume: str
    name: str
    slugs: list[str]
    how: str


@dataclass(frozen=True)
class VolumeFailed(Event):
    """Nothing could be proposed for a volume of a batch, and why; the others go on.

    As with `Failed`, `message` is one clear sentence, `detail` for the log.
    """

    volume: str
    name: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Paused(Event):
    """Training waits for `resume`."""


@dataclass(frozen=True)
class Resumed(Event):
    """Training goes on."""


@dataclass(frozen=True)
class MadeWay(Event):
    """Training waits because the user acts (`waiting`), or goes on; `seconds` of it so far."""

    waiting: bool
    seconds: float


@dataclass(frozen=True)
class Finished(Event):
    """The run is complete."""

    seconds: float
    recommended: str


@dataclass(frozen=True)
class Cancelled(Event):
    """The run was stopped by the user; the last good model and proposals stand."""


@dataclass(frozen=True)
class Failed(Event):
    """The run ended by an error; `message` is one clear sentence, `detail` for the log."""

    message: str
    detail: str = ""


Emit = Callable[[Event], None]
