"""What a training run says while it works: small messages, plain values only.

Arrays never travel here; they are in the project folder, and `ProposalReady` only says that a
new version is there. Nor do sentences, but for those of errors: what a message means is in its
fields, and whoever shows it words it, `wording` for a command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Self, TypeVar, get_args, get_type_hints

from .facts import Basis, Others, SharedLesson

_T = TypeVar("_T")


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

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make one of plain values; those that this version does not know are left out.

        Raises
        ------
        TypeError
            When a value is missing, or is no mapping where it stands for several.
        """
        return _made(cls, values)

    @staticmethod
    def from_json(line: str) -> Event | None:
        """Read a line that `to_json` wrote; None for anything else (a stray print, say)."""
        try:
            data = json.loads(line)
            return Event._kinds[data.pop("kind")].of(data)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _made(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """Make a dataclass, and those in it, of plain values."""
    hints, known = get_type_hints(kind), {}
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name not in values:
            continue
        hint, value = hints[item.name], values[item.name]
        inner = next((t for t in (hint, *get_args(hint)) if is_dataclass(t)), None)
        if isinstance(inner, type) and value is not None:
            if not isinstance(value, Mapping):
                raise TypeError(f"{item.name} is no mapping: {value!r}")
            value = _made(inner, value)
        known[item.name] = value
    return kind(**known)


@dataclass(frozen=True)
class Started(Event):
    """Training has begun on a device, as torch names it.

    `memory` is how many bytes it keeps within, in blocks; None where it need not.
    """

    device: str
    memory: int | None = None


@dataclass(frozen=True)
class Planned(Event):
    """How a network is trained from here on; told anew when other volumes turn out to be no help.

    Parameters
    ----------
    device, memory
        As of `Started`.
    framework : str
        See `napari_sslseg.methods.frameworks`.
    frame : list of int
        Rows and columns that it is shown.
    reduction : int
        By how much they are coarser than the image.
    labelled, unlabelled : int
        Frames of a step.
    others : Others
    """

    device: str
    framework: str
    frame: list[int]
    reduction: int
    labelled: int
    unlabelled: int
    others: Others = field(default_factory=Others)
    memory: int | None = None


@dataclass(frozen=True)
class NetworkBroken(Event):
    """The network's numbers are no longer finite: it is neither heard nor kept."""


@dataclass(frozen=True)
class NetworkUnsaved(Event):
    """The network has proposed, but could not be saved; `message` is one sentence that says why."""

    message: str


@dataclass(frozen=True)
class Progress(Event):
    """Share of the run that is done, what it does now (a `Phase`), and the seconds that are left.

    `volumes` names those that a network for several learns from.
    """

    phase: str
    fraction: float
    seconds_left: float | None = None
    volumes: list[str] = field(default_factory=list)


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
    basis: Basis
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
    """A volume of a batch has new proposals.

    `dice` is what the recommended one is estimated at; None where nothing tells that. `lesson` is
    there where the volume is without labels, and a network for several has proposed.
    """

    volume: str
    name: str
    slugs: list[str]
    dice: float | None = None
    lesson: SharedLesson | None = None


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
