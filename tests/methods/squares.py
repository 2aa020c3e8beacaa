"""Predictions of a square object, as two readings of a volume would make them."""

from __future__ import annotations

import torch

from napari_sslseg.methods.voxel_evidence import Predictions


def square_volume(sure: float = 0.9, depth: int = 7, size: int = 48) -> Predictions:
    """Return a square object on all slices, the first and the last of them inked."""
    labels = torch.zeros(depth, size, size, dtype=torch.int64)
    labels[:, 16:32, 16:32] = 1
    one_hot = torch.nn.functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()
    soft = one_hot * sure + (1 - one_hot) * (1 - sure)
    soft[0], soft[-1] = one_hot[0], one_hot[-1]
    return Predictions(soft, soft, torch.full(labels.shape, sure), [0, depth - 1])
