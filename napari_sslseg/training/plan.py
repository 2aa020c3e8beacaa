"""How to spend the budget: device, network, crop, batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .events import Planned
from .facts import Others
from .request import TrainRequest
from .stack import POSITIONS, SliceStack, TrainingError
from .tiles import Tiles
from .tune import tune

#: Framework and options behind each preset that trains.
FRAMEWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "auto": ("combined", {}),
    "semsim": ("semsim", {"fusion_width": 64, "grid": 32}),
    "metassl-mean-teacher": ("mean_teacher", {"metassl": True}),
    "metassl-fixmatch": ("fixmatch", {"metassl": True}),
    "metassl-cps": ("cps", {"metassl": True}),
    "supervised": ("supervised", {}),
}

#: Widths of the network on a processor, half of those published, at four levels: a step takes a
#: tenth of a second instead of one, and within a minute the number of steps decides.
NARROW = (16, 32, 64, 128)

#: Pixels of the labelled frames of a step on a processor, and of the unlabelled ones: as many for
#: small objects as for large ones, but for at least three frames and at most eight.
STEP_PIXELS = 20_000

#: Steps on a processor before the network teaches itself. On a slow one a minute holds little more
#: than a hundred in all, and a network that taught itself from the fifteenth on had learned less
#: than the matching knew; 150 were better than few and than all, on small and large objects.
FIRST_STEPS = 150


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Parameters
    ----------
    device : torch.device
    bfloat16 : bool
        Whether networks run in bfloat16 under autocast, see `tuned`.
    framework : str
        Name for `napari_sslseg.methods.frameworks.create`.
    options : dict
        Its options; the network's width is one.
    tiles : Tiles
        The frames that are trained on and predicted.
    labelled, unlabelled : int
        Images of each kind in a batch.
    learning_rate : float
    use_prior : bool
        Whether labels propagated from the references teach the unlabelled slices.
    """

    device: torch.device
    bfloat16: bool
    framework: str
    tiles: Tiles
    options: dict[str, Any] = field(default_factory=dict)
    labelled: int = 4
    unlabelled: int = 4
    learning_rate: float = 2e-3
    use_prior: bool = True

    def tuned(self) -> Plan:
        """Return it with the number format that is fastest now, and set the threads, see `tune`."""
        return replace(self, bfloat16=tune(self.device).bfloat16)

    def told(self, others: Others, memory: int | None) -> Planned:
        """Return what is told of it.

        Parameters
        ----------
        others : Others
            Who else teaches.
        memory : int or None
            Bytes that the run keeps within, in blocks; None where it need not.
        """
        return Planned(
            str(self.device),
            self.framework,
            list(self.tiles.size),
            self.tiles.reduction,
            self.labelled,
            self.unlabelled,
            others,
            memory,
        )


def choose_device(wanted: str) -> torch.device:
    """Return the device to train on.

    Raises
    ------
    TrainingError
        When the wanted one is not there.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if (wanted == "cuda" and not cuda) or (wanted == "mps" and not mps):
        raise TrainingError(
            f"There is no {wanted.upper()} device here; choose “auto” or “cpu” as device."
        )
    return torch.device(wanted)


def network_of(preset: str, device: torch.device) -> tuple[str, dict[str, Any]]:
    """Return the framework of a preset, and its options on a device."""
    from ..methods.augment import WeakAugmentation

    framework, options = FRAMEWORKS[preset]
    options = dict(options)
    fast = device.type != "cpu"
    options["position_channels"] = POSITIONS
    options["channels"] = (32, 64, 128, 256, 512) if fast else NARROW
    if not fast:
        options["dropout"] = (0.0, 0.05, 0.1, 0.2)
        if framework == "combined":
            # A few hundred steps are all there is: the first go to ink and prior, the dear
            # similarity terms come in every eighth, and less is dropped.
            options |= {"similarity_every": 8, "ramp_begin": 0.4, "ramp_end": 0.6}
            options["first_steps"] = FIRST_STEPS
            options["feature_dropout"] = 0.2
    # All slices of a volume lie alike; a flip would turn a left organ into a right one.
    options["weak"] = WeakAugmentation(
        flip=0.0, quarter_turns=0.0, rotation=15.0, scale=(0.85, 1.2), free=0.8
    )
    return framework, options


def make_plan(
    stack: SliceStack,
    request: TrainRequest,
    device: torch.device,
    foreground: Tensor,
    tiles: Tiles | None = None,
    detail: float = 0.0,
) -> Plan:
    """Choose network, frames and batch for a volume and a device; how to compute is not measured.

    Parameters
    ----------
    stack : SliceStack
    request : TrainRequest
    device : torch.device
    foreground : Tensor, (Z, H, W) or (1, H, W)
        Where the object may be: probability of anything but background, see `Tiles.around`.
    tiles : Tiles, optional
        Those that a model to go on with was trained on.
    detail : float
        Radius (pixels) of the thinnest structure; 0: that of the wholly labelled slices, or where
        they tell nothing, of all with ink.
    """
    from ..methods.shape_prior import thinnest_radius

    framework, options = network_of(request.preset, device)
    fast = device.type != "cpu"
    stride = 2 ** (len(options["channels"]) - 1)
    # A stroke is thin, whatever it is drawn in.
    for slices in (stack.anchors(), stack.inked()):
        detail = detail or thinnest_radius(stack.ink[slices], stack.classes)
    tiles = Tiles.around(foreground, stack.ink, stride, 256 if fast else 128, tiles, detail)
    pixels = tiles.pixels
    count = min(16, max(4, 2**18 // pixels)) if fast else min(8, max(3, STEP_PIXELS // pixels))
    return Plan(
        device=device,
        bfloat16=False,
        framework=framework,
        options=options,
        tiles=tiles,
        labelled=count,
        unlabelled=count,
        use_prior=request.use_prior,
    )
