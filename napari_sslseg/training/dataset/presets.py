"""Presets named after the papers: framework, optimiser, schedule and batch as published.

What a paper leaves open is taken from the public code that its authors build on; the frameworks'
own settings say which. `default` is not published: SemSim, MetaSSL and RPG in one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_type_hints

from ...methods.augment import StrongAugmentation, WeakAugmentation
from ...methods.frameworks import registry
from ...methods.frameworks.metassl import MetaSSLConfig
from .description import DatasetError

Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["poly", "cosine", "steps"]


@dataclass(frozen=True)
class Preset:
    """How a method is trained.

    Attributes
    ----------
    framework
        Name for `napari_sslseg.methods.frameworks.create`.
    options
        Its options, as in `FrameworkConfig` and its kin.
    optimiser, learning_rate
        SGD with momentum 0.9, or AdamW; weight decay 1e-4 in both.
    schedule
        Of the learning rate: ``"poly"`` is ``(1 - t)^0.9``; ``"cosine"`` a short rise and a half
        cosine; ``"steps"`` a tenth at 60, 90 and 100 of 110 parts of the training.
    labelled, unlabelled
        Images of each kind in a batch.
    steps
        Optimiser steps.
    average
        Whether a running average of the weights predicts, instead of the last ones, with batch
        statistics measured for it on images as they are.
    every_class
        Whether labelled slices of a batch are exchanged until each class is among them. RPG can
        only give classes that its references of the step have. Off: batches as they are shuffled
        lack one rarely (4 slices of ACDC, with one, three or seven patients labelled, in less than
        one step of two hundred), and all methods then see the same labelled images. Made for
        classes that few slices show.
    """

    framework: str
    options: Mapping[str, Any] = field(default_factory=dict)
    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.01
    schedule: Schedule = "poly"
    labelled: int = 12
    unlabelled: int = 12
    steps: int = 30_000
    average: bool = False
    every_class: bool = False


# The protocol that the 2D baselines share: SGD 0.01, poly, 12 + 12 images.
_SEMSIM = Preset("semsim", labelled=8, unlabelled=8, steps=45_000)
_RPG = Preset(
    "rpg",
    optimiser="adamw",
    learning_rate=1e-3,
    schedule="steps",
    labelled=4,
    unlabelled=4,
)
_METASSL = {"metassl": True}

PRESETS: dict[str, Preset] = {
    "default": Preset(
        "combined",
        {
            "weak": {},  # the published ranges: cases of a data set do not all lie alike
            # A step costs about three times a supervised one; with the published width eight times.
            "fusion_width": 48,
            "grid": 32,
            # Cases of a data set show about the same: what a teacher may say can be measured.
            "gated": True,
        },
        optimiser="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        labelled=8,
        unlabelled=8,
        average=True,
    ),
    "supervised": Preset("supervised", unlabelled=0),
    "mean-teacher": Preset("mean_teacher"),
    "fixmatch": Preset("fixmatch"),
    "unimatch": Preset("unimatch"),
    "cps": Preset("cps"),
    "cct": Preset("cct"),
    "r-drop": Preset("rdrop"),
    "semsim": _SEMSIM,
    # The formulas as printed, for comparison: L_cross is then zero, and affinities nearly uniform.
    "semsim-literal": replace(
        _SEMSIM,
        options={
            "affinity_temperature": 1.0,
            "cross_temperature": 1.0,
            "affinity_axis": "output",
            "intra_at": "image",
            "divergence": "raw",
            "weak": {"quarter_turns": 0.0, "free": 0.0},
            "strong": {"blur": 0.0},
        },
    ),
    "semsim-simple": replace(_SEMSIM, options={"fusion": "simple"}),
    "rpg": _RPG,
    "metassl-mean-teacher": Preset("mean_teacher", _METASSL),
    "metassl-fixmatch": Preset("fixmatch", _METASSL),
    "metassl-cps": Preset("cps", _METASSL),
    # As its released script for one labelled patient: means by region, weights of 50, ramp to 0.1.
    "metassl-cps-released": Preset(
        "cps",
        {
            "metassl": True,
            "cross": 0.1,
            "ramp_end": 0.3,
            "regions": {
                "normalisation": "region_mean",
                "scale": 50.0,
                "labelled_order": [1, 2, 3, 4],
                "labelled_agreement": "predictions",
                "release_thresholds": True,
            },
        },
        steps=100_000,
    ),
    "metassl-cct": Preset("cct", _METASSL),
    "metassl-r-drop": Preset("rdrop", _METASSL),
    "metassl-semsim": replace(_SEMSIM, options=_METASSL),
    "metassl-rpg": replace(_RPG, options=_METASSL),
}

#: Keys of a description's ``training`` block beside those of `Preset`.
OTHER_KEYS = ("preset", "seed", "network", "precision", "validate_every", "log_every", "save_every")


def find_preset(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    DatasetError
        When there is none of that name.
    """
    if name not in PRESETS:
        raise DatasetError(f"There is no preset {name!r}; there are {', '.join(PRESETS)}.")
    return PRESETS[name]


def changed(preset: Preset, training: Mapping[str, Any]) -> Preset:
    """Return a preset with the settings of a ``training`` block.

    ``options`` are added to the preset's; every other key replaces its value.

    Raises
    ------
    DatasetError
        For an unknown key or a value of the wrong kind.
    """
    hints = get_type_hints(Preset)
    known = [f.name for f in fields(Preset) if f.name != "framework"]
    changes: dict[str, Any] = {}
    for key, value in training.items():
        if key in OTHER_KEYS:
            continue
        if key not in known:
            raise DatasetError(
                f"training has no key {key!r}; there are {', '.join((*OTHER_KEYS, *known))}."
            )
        if key == "options":
            if not isinstance(value, Mapping):
                raise DatasetError("options of training must be “name: value” pairs.")
            value = {**preset.options, **value}
        elif hints[key] is float and isinstance(value, int | float):
            value = float(value)
        elif hints[key] is int and (not isinstance(value, int) or value < 0):
            raise DatasetError(f"{key} of training must be a whole number, not {value!r}.")
        elif hints[key] is bool and not isinstance(value, bool):
            raise DatasetError(f"{key} of training must be true or false, not {value!r}.")
        elif key == "optimiser" and value not in ("sgd", "adamw"):
            raise DatasetError(f"The optimiser must be sgd or adamw, not {value!r}.")
        elif key == "schedule" and value not in ("poly", "cosine", "steps"):
            raise DatasetError(f"The schedule must be poly, cosine or steps, not {value!r}.")
        changes[key] = value
    return replace(preset, **changes)


def build_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn plain YAML or JSON values into a framework's options.

    ``weak``, ``strong`` and ``regions`` are given as fields of their classes, lists become tuples.
    """
    nested: dict[str, type] = {
        "weak": WeakAugmentation,
        "strong": StrongAugmentation,
        "regions": MetaSSLConfig,
    }
    built: dict[str, Any] = {}
    for key, value in options.items():
        if key in nested and isinstance(value, Mapping):
            kind = nested[key]
            names = {f.name for f in fields(kind)}
            if unknown := sorted(set(value) - names):
                raise DatasetError(
                    f"{key} has no option {unknown[0]!r}; it has {', '.join(sorted(names))}."
                )
            built[key] = kind(**{k: _frozen(v) for k, v in value.items()})
        else:
            built[key] = _frozen(value)
    return built


def check_options(framework: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a framework does not have, before any data are read.

    Raises
    ------
    DatasetError
        Naming them, and those that there are.
    """
    built = build_options(options)
    try:
        registry.check_options(framework, built)
    except ValueError as error:
        message = str(error)
        raise DatasetError(f"{message[0].upper()}{message[1:]}.") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
