"""Frameworks by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .base import Framework, FrameworkConfig
from .cct import CCT, CCTConfig
from .combined import Combined, CombinedConfig
from .cps import CPS, CPSConfig
from .fixmatch import FixMatch, FixMatchConfig
from .mean_teacher import MeanTeacher, MeanTeacherConfig
from .rdrop import RDrop, RDropConfig
from .rpg import RPG, RPGConfig
from .semsim import SemSim
from .semsim_config import SemSimConfig
from .supervised import Supervised

_REGISTRY: dict[str, tuple[type[Framework], type[FrameworkConfig], dict[str, Any]]] = {
    "combined": (Combined, CombinedConfig, {}),
    # Less than half the cost of a step: for short budgets on a CPU.
    "combined_light": (Combined, CombinedConfig, {"fusion": "simple", "second_view": False}),
    "semsim": (SemSim, SemSimConfig, {}),
    "rpg": (RPG, RPGConfig, {}),
    "fixmatch": (FixMatch, FixMatchConfig, {}),
    "unimatch": (
        FixMatch,
        FixMatchConfig,
        # As published: (L_x + 1/4 L_s1 + 1/4 L_s2 + 1/2 L_fp) / 2, without a ramp.
        {
            "strong_views": 2,
            "feature_dropout": 0.5,
            "criterion": "dice",
            "supervised": 0.5,
            "unlabelled": 0.5,
            "ramp_end": 0.0,
        },
    ),
    "cps": (CPS, CPSConfig, {}),
    "cct": (CCT, CCTConfig, {}),
    "rdrop": (RDrop, RDropConfig, {}),
    "mean_teacher": (MeanTeacher, MeanTeacherConfig, {}),
    "supervised": (Supervised, FrameworkConfig, {}),
}


def available() -> tuple[str, ...]:
    """Return the names that `create` knows, the default preset first."""
    return tuple(_REGISTRY)


def create(name: str, in_channels: int, classes: int, **options: Any) -> Framework:
    """Build a framework.

    Parameters
    ----------
    name
        One of `available`.
    in_channels
        Image channels times context slices.
    classes
        Number of classes, background included; overlapping classes have no background.
    **options
        Fields of the framework's configuration, for example ``channels=(16, 32, 64, 128)``.

    Raises
    ------
    ValueError
        For an unknown name or option, naming the known ones, and as of the framework for values
        that do not fit together.
    """
    check_options(name, options)
    framework, config, preset = _REGISTRY[name]
    return framework(in_channels, classes, config(**{**preset, **options}))


def config_of(name: str) -> type[FrameworkConfig]:
    """Return the configuration of a framework, whose fields are its options.

    Raises
    ------
    ValueError
        For an unknown name, naming the known ones.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown framework {name!r}; there are {', '.join(_REGISTRY)}")
    return _REGISTRY[name][1]


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise what `create` raises for an unknown name or option, without building anything.

    Parameters
    ----------
    name
        Of a framework.
    options
        Only their names are looked at.

    Raises
    ------
    ValueError
        For an unknown name or option, naming the known ones.
    """
    known = {f.name for f in fields(config_of(name))}
    if unknown := sorted(set(options) - known):
        raise ValueError(
            f"{name} has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
