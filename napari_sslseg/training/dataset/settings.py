"""Everything that decides how a run goes, as plain values that can be kept and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_type_hints

from ...volume.annotation import NOT_ANNOTATED
from ..request import SEEDS
from .description import Dataset, DatasetError
from .presets import OTHER_KEYS, VOLUME_VIEW, changed, find_preset, plain_options
from .values import checked

#: Bumped when the same settings would no longer give the same run.
VERSION = 3

#: Numbers of which a run needs one at least.
_COUNTS = ("steps", "labelled", "validate_every", "log_every", "save_every")


@dataclass(frozen=True)
class Settings:
    """Settings of one run; see `presets.Preset` for those that a preset brings.

    Attributes
    ----------
    preset
        Its name.
    framework, options, optimiser, learning_rate, betas, bias_rate, bias_decay, clip, schedule,
    labelled, unlabelled, steps, average, every_class
        Of the preset, as the description and the caller changed it.
    seed
        Of everything random.
    network
        ``"unet"`` for slices; ``"unet3d"`` or ``"vnet"`` for patches.
    precision
        ``"float32"`` or ``"bfloat16"``.
    validate_every, log_every, save_every
        Steps between two scores on the validation list, lines of the log, and saved states.
    """

    preset: str
    framework: str
    options: Mapping[str, Any] = field(default_factory=dict)
    optimiser: str = "sgd"
    learning_rate: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    bias_rate: float = 1.0
    bias_decay: bool = True
    clip: float | None = None
    schedule: str = "poly"
    labelled: int = 12
    unlabelled: int = 12
    steps: int = 30_000
    average: bool = False
    every_class: bool = False
    seed: int = 0
    network: str = "unet"
    precision: Literal["float32", "bfloat16"] = "float32"
    validate_every: int = 1000
    log_every: int = 50
    save_every: int = 500

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        # The version first: of a run of another one, that is what there is to tell.
        return {"settings_version": VERSION, **asdict(self), "options": dict(self.options)}


def make_settings(dataset: Dataset, device: str, **overrides: Any) -> Settings:
    """Put the settings of a run together: preset, then description, then overrides.

    Parameters
    ----------
    dataset
        Its ``training`` block counts.
    device
        ``"cuda"`` chooses bfloat16 where no precision is asked for.
    **overrides
        The same keys; those that are None are left out.

    Raises
    ------
    DatasetError
        For settings that cannot be.
    """
    training = {**dataset.training, **{k: v for k, v in overrides.items() if v is not None}}
    for key in _COUNTS:
        value = training.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DatasetError(
                f"{key} of training must be a whole number, 1 or more, not {value!r}."
            )
    hints = get_type_hints(Settings)
    own = {
        k: checked(f"{k} of training", training[k], hints[k]) for k in OTHER_KEYS if k in training
    }
    name = own.get("preset", "default")
    preset = changed(find_preset(name), training)
    volumes = dataset.dimensions == 3
    network = own.get("network", "unet3d" if volumes else "unet")
    fitting = ("unet3d", "vnet") if volumes else ("unet",)
    if network not in fitting:
        raise DatasetError(
            f"The network must be {' or '.join(fitting)} for {dataset.dimensions} dimensions, "
            f"not {network!r}."
        )
    if preset.learning_rate <= 0:
        raise DatasetError(f"The learning rate must be more than 0, not {preset.learning_rate:g}.")
    if not all(0 <= beta < 1 for beta in preset.betas):
        raise DatasetError(f"The betas must be from 0 to below 1, not {list(preset.betas)}.")
    if preset.clip is not None and preset.clip <= 0:
        raise DatasetError(f"clip must be more than 0, or null, not {preset.clip:g}.")
    if own.get("seed", 0) >= SEEDS:
        raise DatasetError(f"The seed must be less than {SEEDS}, not {own['seed']}.")
    if volumes and preset.every_class:
        raise DatasetError("every_class is made for slices; patches are drawn at random places.")
    options = dict(preset.options)
    if volumes and "labelled" not in training:
        # As published for Mean Teacher; CPS had 1 + 1 patches, here all methods see as many.
        preset = changed(preset, {"labelled": 2})
        if "unlabelled" not in training:
            preset = changed(preset, {"unlabelled": min(2, preset.unlabelled)})
    if volumes:
        # A preset's weak view is that of slices; what the description changes is added. What is no
        # mapping is refused with the other options.
        own_view = training.get("options", {}).get("weak", {})
        options["weak"] = {**VOLUME_VIEW, **own_view} if isinstance(own_view, Mapping) else own_view
    every = {}
    for key, default in (("validate_every", 1000), ("log_every", 50), ("save_every", 500)):
        every[key] = own.get(key, min(default, preset.steps))
    return Settings(
        preset=name,
        framework=preset.framework,
        options=plain_options(preset.framework, options),
        optimiser=preset.optimiser,
        learning_rate=preset.learning_rate,
        betas=preset.betas,
        bias_rate=preset.bias_rate,
        bias_decay=preset.bias_decay,
        clip=preset.clip,
        schedule=preset.schedule,
        labelled=preset.labelled,
        unlabelled=preset.unlabelled,
        steps=preset.steps,
        average=preset.average,
        every_class=preset.every_class,
        seed=own.get("seed", 0),
        network=network,
        precision=own.get("precision", "bfloat16" if device == "cuda" else "float32"),
        **every,
    )


def describe_data(dataset: Dataset, channels: int) -> dict[str, Any]:
    """Return what a model must know of its data set to predict, as JSON values.

    `channels` are those of the images, without the slices in context.
    """
    return {
        "classes": {str(value): name for value, name in dataset.classes.items()},
        "overlapping": dataset.overlapping,
        "axis": dataset.axis,
        "dimensions": dataset.dimensions,
        "size": list(dataset.size),
        "middle": dataset.middle,
        "context": dataset.context,
        "channels": channels,
        "not_annotated": [*dataset.not_annotated, NOT_ANNOTATED],
    }


def alike(key: str, kept: Any, described: Any) -> bool:
    """Whether a value is as it was kept; outputs of a network are its classes in their order."""
    return bool(kept == described) and (key != "classes" or list(kept) == list(described))
