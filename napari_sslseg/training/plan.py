"""How to spend the budget: device, network, crop, batch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch

from .request import TrainRequest
from .stack import SliceStack, TrainingError

#: Framework and options behind each preset that trains.
FRAMEWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "auto": ("combined", {}),
    "semsim": ("semsim", {"fusion_width": 64, "grid": 32}),
    "metassl-mean-teacher": ("mean_teacher", {"metassl": True}),
    "metassl-fixmatch": ("fixmatch", {"metassl": True}),
    "metassl-cps": ("cps", {"metassl": True}),
    "supervised": ("supervised", {}),
}


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Parameters
    ----------
    device : torch.device
    framework : str
        Name for `napari_sslseg.methods.frameworks.create`.
    options : dict
        Its options; the network's width is one.
    patch : tuple of int
        Crop (H, W), multiples of 16.
    labelled, unlabelled : int
        Images of each kind in a batch.
    learning_rate : float
    use_prior : bool
        Whether labels propagated from the references teach the unlabelled slices.
    """

    device: torch.device
    framework: str
    options: dict[str, Any] = field(default_factory=dict)
    patch: tuple[int, int] = (128, 128)
    labelled: int = 4
    unlabelled: int = 4
    learning_rate: float = 2e-3
    use_prior: bool = True

    def describe(self) -> str:
        """One line for the user."""
        device = "GPU" if self.device.type != "cpu" else "processor"
        return (
            f"On the {device}: {self.framework.replace('_', ' ')}, crops of "
            f"{self.patch[0]}×{self.patch[1]}, {self.labelled} labelled and "
            f"{self.unlabelled} unlabelled a step."
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


def make_plan(stack: SliceStack, request: TrainRequest) -> Plan:
    """Choose network, crop and batch for a volume, a budget and a device."""
    from ..methods.augment import WeakAugmentation

    device = choose_device(request.device)
    framework, options = FRAMEWORKS[request.preset]
    options = dict(options)
    fast = device.type != "cpu"
    # Half the published widths at four levels: on a processor a step takes a tenth of a second
    # instead of one, and within a minute the number of steps decides.
    options["channels"] = (32, 64, 128, 256, 512) if fast else (16, 32, 64, 128)
    if not fast:
        options["dropout"] = (0.0, 0.05, 0.1, 0.2)
    # All slices of a volume lie alike; a flip would turn a left organ into a right one.
    options["weak"] = WeakAugmentation(
        flip=0.0, quarter_turns=0.0, rotation=15.0, scale=(0.85, 1.2), free=0.8
    )
    limit = 256 if fast else 112
    height, width = (min(_multiple(n, 16), limit) for n in stack.image.shape[-2:])
    return Plan(
        device=device,
        framework=framework,
        options=options,
        patch=(height, width),
        labelled=8 if fast else 4,
        unlabelled=8 if fast else 4,
        use_prior=request.preset == "auto",
    )


def use_all_cores() -> None:
    """Let torch use the processor's cores; the process runs at low priority anyway."""
    torch.set_num_threads(max(1, os.cpu_count() or 1))


def _multiple(size: int, of: int) -> int:
    return max(of, -(-size // of) * of)
