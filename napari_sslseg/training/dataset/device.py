"""The device that a data set is trained or predicted on, by name."""

from __future__ import annotations

import torch

from ..plan import choose_device
from ..request import DEVICES
from ..stack import TrainingError
from .description import DatasetError


def find_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    DatasetError
        When it is not there, or none of these.
    """
    if name not in DEVICES:
        raise DatasetError(f"There is no device {name!r}; there are {', '.join(DEVICES)}.")
    try:
        return choose_device(name)
    except TrainingError as error:
        raise DatasetError(str(error)) from error
