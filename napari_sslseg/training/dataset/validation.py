"""The score that picks the best model of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...methods.frameworks.base import Framework
from ...volume.annotation import NOT_ANNOTATED
from .cases import Case
from .description import Dataset
from .prediction import predict_case


def mean_dice(
    model: Framework, case: Case, dataset: Dataset, device: torch.device, bfloat16: bool
) -> float:
    """Return the mean Dice over the classes of an annotated case, at the size that training sees.

    Pixels without annotation do not count. A class that is neither there nor found scores 1.

    Parameters
    ----------
    case
        With an annotation.
    model, dataset, device, bfloat16
        As of `predict_case`.
    """
    assert case.target is not None
    plane = (int(case.image.shape[-2]), int(case.image.shape[-1]))
    small = replace(case, plane=plane, window=(slice(None), slice(None)))
    predicted = torch.from_numpy(predict_case(model, small, dataset, device, bfloat16))
    known = case.target != NOT_ANNOTATED
    found = []
    for k in range(len(dataset.classes)):
        if dataset.overlapping:
            p, t = predicted[:, k] == 1, case.target[:, k] == 1
            p = p & known[:, k]
        else:
            p, t = (predicted == k + 1) & known, case.target == k + 1
        both = int(p.sum()) + int(t.sum())
        found.append(2 * int((p & t).sum()) / both if both else 1.0)
    return float(np.mean(found))
