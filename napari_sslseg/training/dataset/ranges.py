"""Ranges of the numbers among the options of methods: those with which a step can be done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ...methods.augment import StrongAugmentation, WeakAugmentation
from ...methods.frameworks.base import FrameworkConfig
from ...methods.frameworks.cct import CCTConfig
from ...methods.frameworks.combined import CombinedConfig
from ...methods.frameworks.cps import CPSConfig
from ...methods.frameworks.fixmatch import FixMatchConfig
from ...methods.frameworks.mean_teacher import MeanTeacherConfig
from ...methods.frameworks.metassl import MetaSSLConfig
from ...methods.frameworks.rdrop import RDropConfig
from ...methods.frameworks.rpg import RPGConfig
from ...methods.frameworks.semsim_config import SemSimConfig
from .errors import DatasetError


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds.

    Attributes
    ----------
    low, high
        Bounds.
    above, below
        Whether the lower or the upper bound itself is left out.
    rising
        Whether a list of numbers is a smallest and a largest one.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False
    rising: bool = False

    def __contains__(self, number: float) -> bool:
        """Whether a number lies in the range."""
        low = number > self.low if self.above else number >= self.low
        return low and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        """Return the range in words."""
        if self.high == math.inf:
            return f"more than {self.low:g}" if self.above else f"at least {self.low:g}"
        begin = f"more than {self.low:g}, up to" if self.above else f"from {self.low:g} to"
        return f"{begin}{' below' if self.below else ''} {self.high:g}"


_SHARE = Range(0, 1)
_KEPT = Range(0, 1, below=True)  # of what may be dropped, something has to stay
_COUNT = Range(1)
_WEIGHT = Range(0)
_FACTOR = Range(0, above=True)
_DIVISOR = Range(1)  # of weights that are to fall

#: By the class that declares an option; classes derived from it have its ranges too.
RANGES: Mapping[type, Mapping[str, Range]] = {
    FrameworkConfig: {
        "channels": _COUNT,
        "dropout": _SHARE,
        "prior": _WEIGHT,
        "position_channels": _WEIGHT,
    },
    WeakAugmentation: {
        **dict.fromkeys(("flip", "quarter_turns", "free", "stretch"), _SHARE),
        "rotation": Range(0, 180),
        "scale": Range(0, above=True, rising=True),
        "stretched": _COUNT,
        "crop": Range(0, 1, above=True),
    },
    StrongAugmentation: {
        **dict.fromkeys(("jitter", "blur", "cutmix"), _SHARE),
        **dict.fromkeys(("brightness", "contrast", "gamma", "saturation", "hue"), _WEIGHT),
        "sigma": Range(0, rising=True),
        "area": Range(0, 1, rising=True),
        "aspect": Range(0, 1, above=True),
    },
    MetaSSLConfig: {
        "beta": _FACTOR,
        **dict.fromkeys(("unlabelled_step", "labelled_step"), _WEIGHT),
        "scale": _FACTOR,
        "labelled_scale": _WEIGHT,
        **dict.fromkeys(("ratio", "factor", "labelled_ratio"), _DIVISOR),
        **dict.fromkeys(("dice", "rate", "initial", "cap"), _SHARE),
    },
    MeanTeacherConfig: {
        "decay": _SHARE,
        **dict.fromkeys(("noise", "consistency"), _WEIGHT),
        "ramp_end": _SHARE,
    },
    FixMatchConfig: {
        "threshold": _SHARE,
        "strong_views": _COUNT,
        "feature_dropout": _KEPT,
        **dict.fromkeys(("supervised", "unlabelled"), _WEIGHT),
        "ramp_end": _SHARE,
    },
    CPSConfig: {"cross": _WEIGHT, "ramp_end": _SHARE},
    CCTConfig: {
        "feature_dropout": _KEPT,
        "decoder_dropout": _SHARE,
        "consistency": _WEIGHT,
        "ramp_end": _SHARE,
    },
    RDropConfig: {"consistency": _WEIGHT, "ramp_end": _SHARE},
    SemSimConfig: {
        **dict.fromkeys(("threshold", "cross_threshold"), _SHARE),
        **dict.fromkeys(("unlabelled", "intra", "cross", "sharpness"), _WEIGHT),
        **dict.fromkeys(("affinity_temperature", "cross_temperature"), _FACTOR),
        **dict.fromkeys(("prototype_regions", "fusion_width", "grid"), _COUNT),
        **dict.fromkeys(("fusion_heads", "fusion_mlp_ratio", "fusion_windows"), _COUNT),
        "feature_dropout": _KEPT,
    },
    CombinedConfig: {
        **dict.fromkeys(("supervised", "labelled_regions", "matched", "first_steps"), _WEIGHT),
        **dict.fromkeys(("neighbours", "similarity_every"), _COUNT),
        **dict.fromkeys(("ramp_begin", "ramp_end"), _SHARE),
    },
    RPGConfig: {
        **dict.fromkeys(("neighbours", "grid", "most_references"), _COUNT),
        **dict.fromkeys(("threshold", "start", "end", "strong_geometry"), _SHARE),
        **dict.fromkeys(("matched", "strong_consistency"), _WEIGHT),
        "temperature": _FACTOR,
    },
}


def range_of(kind: type, option: str) -> Range | None:
    """Return the range of an option of a class of options; None where none is declared."""
    for each in kind.__mro__:
        if option in (ranges := RANGES.get(each, {})):
            return ranges[option]
    return None


def check_ranges(options: Mapping[str, Any], kind: type, of: str = "") -> None:
    """Refuse numbers with which no step can be done.

    Parameters
    ----------
    options
        Of the types of their fields already: numbers, tuples of them, None, or dataclasses, whose
        fields are looked at too.
    kind
        Class that declares the options.
    of
        Behind their names in messages.

    Raises
    ------
    DatasetError
        With one sentence, for the first one that is out of its range.
    """
    for name, value in options.items():
        if is_dataclass(value) and not isinstance(value, type):
            inner = {field.name: getattr(value, field.name) for field in fields(value)}
            check_ranges(inner, type(value), f" of {name}")
            continue
        allowed = range_of(kind, name)
        if allowed is not None and value is not None:
            _check(f"{name}{of}", value, allowed)


def _check(name: str, value: Any, allowed: Range) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    if not numbers:
        raise DatasetError(f"{name} must be a list of at least one number, not [].")
    for number in numbers:
        if number not in allowed:
            raise DatasetError(f"{name} must be {allowed}, not {number:g}.")
    if allowed.rising and list(numbers) != sorted(numbers):
        raise DatasetError(f"{name} must be a smallest and a largest number, not {list(numbers)}.")
