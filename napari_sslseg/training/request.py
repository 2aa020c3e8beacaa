"""What the user asks of a training run, on one volume or on several."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: Presets by name, with the words that the panel shows.
PRESETS = {
    "auto": "Automatic (recommended)",
    "reference": "Reference matching only (seconds, no training)",
    "semsim": "SemSim",
    "metassl-mean-teacher": "MetaSSL on Mean Teacher",
    "metassl-fixmatch": "MetaSSL on FixMatch",
    "metassl-cps": "MetaSSL on cross pseudo supervision",
    "supervised": "Supervised on the references only",
}

DEVICES = ("auto", "cpu", "cuda", "mps")

#: Seeds are smaller: what torch's generators take.
SEEDS = 2**63


@dataclass(frozen=True)
class TrainRequest:
    """One press of *Train*.

    Parameters
    ----------
    preset : str
        A key of `PRESETS`.
    seconds : float
        Time budget of the whole run, proposals included.
    device : str
        One of `DEVICES`.
    seed : int
        Seeds sampling, augmentation and initial weights.
    resume : bool
        Continue from the project's last model when there is one.
    estimate : bool
        Estimate the quality, which takes leaving references out.
    memory : int, optional
        Bytes that the run may use; half of what is free when it begins if not given.
    others : bool
        Whether the references of the project's other volumes teach as well.
    update : bool
        Only propose anew with all the ink there is now, the network as it is: nothing is trained,
        and the budget plays no part.

    Raises
    ------
    ValueError
        With a sentence for the user, for values that cannot be.
    """

    preset: str = "auto"
    seconds: float = 60.0
    device: str = "auto"
    seed: int = 0
    resume: bool = True
    estimate: bool = True
    memory: int | None = None
    others: bool = True
    update: bool = False

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            known = ", ".join(PRESETS)
            raise ValueError(f"There is no method “{self.preset}”; choose from {known}.")
        if self.device not in DEVICES:
            known = ", ".join(DEVICES)
            raise ValueError(f"There is no device “{self.device}”; choose from {known}.")
        if not 0 < self.seconds < 7 * 24 * 3600:
            raise ValueError("The time budget must be more than 0 seconds and less than a week.")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"The seed must be 0 or more and less than {SEEDS}, not {self.seed}.")

    @property
    def use_prior(self) -> bool:
        """Whether labels propagated from the references teach the unlabelled slices."""
        return self.preset == "auto"

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrainRequest:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError, TypeError
            When it is no JSON, not of these fields, or of values that cannot be.
        """
        return cls(**json.loads(text))


@dataclass(frozen=True)
class BatchRequest:
    """Proposals for several volumes of a project, one after another.

    Parameters
    ----------
    train : TrainRequest
        How: method, time for each training, device.
    volumes : tuple of str
        Keys of the volumes.
    """

    train: TrainRequest
    volumes: tuple[str, ...]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"train": asdict(self.train), "volumes": list(self.volumes)})

    @classmethod
    def from_json(cls, text: str) -> BatchRequest:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError
            When it is no JSON, not of these fields, or of values that cannot be.
        """
        data = json.loads(text)
        return cls(TrainRequest(**data["train"]), tuple(data["volumes"]))


def read_request(text: str) -> TrainRequest | BatchRequest:
    """Read what `to_json` of either kind wrote; errors are those of the two `from_json`."""
    return (BatchRequest if "volumes" in json.loads(text) else TrainRequest).from_json(text)
