"""Which computers there are to train on, and which one is chosen: the user's, for all projects."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..jobs.place import Place
from ..volume.replacing import replace_text
from .key_settings import settings_file

FILE_NAME = "trainers.json"


def places_file() -> Path:
    """Where it is kept."""
    return settings_file().with_name(FILE_NAME)


@dataclass
class TrainerPlaces:
    """The computers that the user has named.

    Parameters
    ----------
    known : list of Place
        Besides this one; no host twice.
    chosen : str
        Host of the one to train on; empty for this computer.
    """

    known: list[Place] = field(default_factory=list)
    chosen: str = ""

    @classmethod
    def load(cls) -> TrainerPlaces:
        """Read what was saved last; this computer alone where there is nothing, or nonsense."""
        try:
            data = json.loads(places_file().read_text(encoding="utf-8"))
            known = [Place(str(row["host"]), str(row["python"])) for row in data["known"]]
            return cls(known, str(data["chosen"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self) -> None:
        """Write it.

        Raises
        ------
        OSError
            When the disk does not take it.
        """
        path = places_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {"known": [asdict(place) for place in self.known], "chosen": self.chosen}
        replace_text(path, json.dumps(data, indent=1))

    @property
    def place(self) -> Place | None:
        """The chosen one; None for this computer."""
        return next((place for place in self.known if place.host == self.chosen), None)

    def add(self, place: Place) -> None:
        """Add a computer, in place of one with the same host, and choose it."""
        self.forget(place.host)
        self.known.append(place)
        self.chosen = place.host

    def forget(self, host: str) -> None:
        """Leave a computer out from now on; if it was chosen, this one is."""
        self.known = [place for place in self.known if place.host != host]
        if self.chosen == host:
            self.chosen = ""


def chosen_place() -> Place | None:
    """Return where to train now, as was saved last; None for this computer."""
    return TrainerPlaces.load().place
