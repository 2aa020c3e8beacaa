"""Classes of whole cases from a trained framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ...methods.frameworks import registry
from ...methods.frameworks.base import Framework
from ...methods.networks import crop
from .cases import Case
from .description import Dataset, DatasetError
from .presets import build_options

#: Pixels that are predicted at a time.
BLOCK = 2**21


class Checks(Protocol):
    """Something that is asked between two blocks or patches whether to go on."""

    def check(self) -> None:
        """Raise when the user cancelled."""


def build_framework(about: Mapping[str, Any]) -> Framework:
    """Build an untrained framework, on the CPU, from what a model's JSON says.

    Parameters
    ----------
    about
        With ``framework``, ``options``, ``in_channels`` and ``outputs``.

    Raises
    ------
    DatasetError
        When the options cannot be, or a package that it needs is missing.
    """
    name = str(about["framework"])
    options = build_options(name, about["options"])
    try:
        return registry.create(name, int(about["in_channels"]), int(about["outputs"]), **options)
    except (ValueError, ImportError) as error:
        message = str(error)
        raise DatasetError(f"{message[0].upper()}{message[1:]}.") from error


@torch.no_grad()
def predict_case(
    model: Framework,
    case: Case,
    dataset: Dataset,
    device: torch.device,
    bfloat16: bool = False,
    control: Checks | None = None,
) -> npt.NDArray[np.uint8]:
    """Predict a case at its own resolution, with the network alone.

    Outside of the case's window nothing is found.

    Parameters
    ----------
    model
        On `device`.
    case
        Needs no annotation.
    dataset
        Whose dimensions, context and size of patches the model was trained with.
    device
        To predict on.
    bfloat16
        Whether the network runs in bfloat16 under autocast.
    control
        Asked before each block of slices, or of patches, whether to go on; None goes on.

    Returns
    -------
    ndarray
        ``(Z, H, W)`` uint8 class indices, or ``(Z, K, H, W)`` of 0 and 1 where classes overlap.

    Raises
    ------
    DatasetError
        When MONAI is missing, which patches need.
    """

    def predict(images: Tensor) -> Tensor:
        if control is not None:
            control.check()
        return model.predict_plain(images)

    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
        if dataset.dimensions == 3:
            return _decide(_predict_patches(predict, case, dataset, device), model)
        blocks = []
        depth, pixels = case.image.shape[0], case.image.shape[-2] * case.image.shape[-1]
        for part in torch.arange(depth).split(max(1, BLOCK // pixels)):
            images = context_of(case.image, part, dataset.context)
            probs = predict(images.to(device)).float()
            # Probabilities are resized, not classes: borders stay smooth.
            rows, columns = (
                range(*part.indices(n)) for part, n in zip(case.window, case.plane, strict=True)
            )
            seen = (len(rows), len(columns))
            if tuple(probs.shape[-2:]) != seen:
                probs = F.interpolate(probs, seen, mode="bilinear", align_corners=False)
            found = _decide(probs, model)
            whole = np.zeros((*found.shape[:-2], *case.plane), np.uint8)
            whole[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = found
            blocks.append(whole)
    return np.concatenate(blocks)


def context_of(image: Tensor, slices: Tensor, context: int) -> Tensor:
    """Return slices ``(B, C * (2 * context + 1), H, W)``; at the ends the last is repeated.

    Parameters
    ----------
    image
        ``(Z, C, H, W)``.
    slices
        Indices, int64 ``(B,)``.
    context
        Slices on either side; their channels are in the order of the slices.
    """
    around = torch.arange(-context, context + 1)
    index = (slices[:, None] + around[None]).clamp(0, image.shape[0] - 1)
    return image[index].flatten(1, 2)


def _predict_patches(
    predict: Callable[[Tensor], Tensor], case: Case, dataset: Dataset, device: torch.device
) -> Tensor:
    try:
        from monai.inferers.utils import sliding_window_inference
    except ImportError as error:
        raise DatasetError(
            "Prediction in patches needs MONAI; install it with: pip install monai"
        ) from error
    volume = case.image.transpose(0, 1)[None].to(device)
    sides = volume.shape[2:]
    missing = [max(0, n - side) for n, side in zip(dataset.size, sides, strict=True)]
    if any(missing):
        # As the patches of training; left to itself, MONAI pads with zeros on both sides.
        pad = [n for size in reversed(missing) for n in (0, size)]
        volume = F.pad(volume, pad, mode="replicate")
    probs = sliding_window_inference(volume, dataset.size, 2, predict, overlap=0.5, mode="gaussian")
    assert isinstance(probs, Tensor)
    return crop(probs, sides)[0].transpose(0, 1).float()  # slices first, as with images


def _decide(probs: Tensor, model: Framework) -> npt.NDArray[np.uint8]:
    """Turn probabilities ``(Z, K, H, W)`` into classes or sets."""
    return np.asarray(model.space.decide(probs)[1].to(torch.uint8).cpu().numpy())


def in_file_order(
    classes: npt.NDArray[np.uint8], case: Case, dataset: Dataset
) -> npt.NDArray[np.uint8]:
    """Bring label values ``(Z, H, W)`` back to the axes of the case's file: two of a picture."""
    if case.flat:
        return np.ascontiguousarray(classes[0])
    return np.ascontiguousarray(np.moveaxis(classes, 0, dataset.axis))
