"""Scores of a few-slice segmentation: overlap, surface distance, honesty of the confidence.

All arrays are stacks whose first axis is the slicing axis. A *case* is one volume, K reference
slices whose labels were given, and the truth. The rules are those the stored rivals were
scored by: reference slices never count, class scores are averaged without weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

BACKGROUND = 0


def slices_between(reference_slices: Sequence[int]) -> list[int]:
    """Non-reference slices strictly between the outermost references."""
    references = set(reference_slices)
    return [z for z in range(min(references) + 1, max(references)) if z not in references]


def slices_outside_references(reference_slices: Sequence[int], depth: int) -> list[int]:
    """Every slice of a stack of ``depth`` slices that is not a reference."""
    references = set(reference_slices)
    return [z for z in range(depth) if z not in references]


def mean_dice(
    labels: np.ndarray, truth: np.ndarray, slices: Sequence[int], classes: Sequence[int]
) -> float:
    """Dice coefficient pooled over ``slices`` for each class, then averaged over classes.

    A class absent from both counts as 1. NaN if there is no slice to score.
    """
    if not len(slices):
        return float("nan")
    rows = list(slices)
    scores = []
    for value in classes:
        predicted, true = labels[rows] == value, truth[rows] == value
        total = int(predicted.sum()) + int(true.sum())
        scores.append(2.0 * int((predicted & true).sum()) / total if total else 1.0)
    return float(np.mean(scores))


def mean_hd95(
    labels: np.ndarray,
    truth: np.ndarray,
    reference_slices: Sequence[int],
    classes: Sequence[int],
    spacing: Sequence[float],
) -> float:
    """95th-percentile Hausdorff distance (mm), averaged over classes.

    The reference slices of ``labels`` are set to the truth first. Surfaces are the voxels with a
    face neighbour outside the object, in 3D; only surface voxels on non-reference slices are
    measured, each against the whole other surface, and the larger of the two directed 95th
    percentiles counts. A class missing from one side only scores the length of the volume's
    diagonal.
    """
    filled = labels.copy()
    references = list(reference_slices)
    filled[references] = truth[references]
    free = np.ones(len(truth), bool)
    free[references] = False
    free = free[:, None, None]
    diagonal = float(np.linalg.norm(np.asarray(truth.shape) * np.asarray(spacing)))
    scores = []
    for value in classes:
        predicted, true = filled == value, truth == value
        if not predicted.any() and not true.any():
            scores.append(0.0)
            continue
        if not predicted.any() or not true.any():
            scores.append(diagonal)
            continue
        # Only the bounding box of both objects matters, one voxel of margin keeps the surfaces.
        box = _bounding_box(predicted | true)
        surface_a, surface_b = _surface(predicted[box]), _surface(true[box])
        to_b = ndimage.distance_transform_edt(~surface_b, sampling=spacing)
        to_a = ndimage.distance_transform_edt(~surface_a, sampling=spacing)
        inside = free[box[0]]
        directed = [to_b[surface_a & inside], to_a[surface_b & inside]]
        scores.append(max((float(np.percentile(d, 95)) for d in directed if d.size), default=0.0))
    return float(np.mean(scores))


def neighbourhood(truth: np.ndarray, labels: np.ndarray, radius: int = 5) -> np.ndarray:
    """Voxels within ``radius`` pixels, in the slice, of the true or the predicted object."""
    objects = (truth != BACKGROUND) | (labels != BACKGROUND)
    reach = np.zeros_like(objects)
    for z in np.flatnonzero(objects.any(axis=(1, 2))):
        reach[z] = ndimage.distance_transform_edt(~objects[z]) <= radius
    return reach


def reliability(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 10
) -> tuple[float, list[tuple[float, float, float]]]:
    """Compute the expected calibration error and the reliability curve.

    Returns the voxel-weighted mean gap between confidence and accuracy over ``bins`` equal-width
    confidence bins (Guo et al., ICML 2017), and for each non-empty bin the mean confidence,
    the accuracy and the share of voxels.
    """
    confidence = np.asarray(confidence, np.float64).ravel()
    correct = np.asarray(correct, bool).ravel()
    if not confidence.size:
        return float("nan"), []
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    curve, error = [], 0.0
    for i in range(bins):
        chosen = index == i
        share = float(chosen.mean())
        if share > 0:
            mean, accuracy = float(confidence[chosen].mean()), float(correct[chosen].mean())
            curve.append((mean, accuracy, share))
            error += share * abs(mean - accuracy)
    return error, curve


def error_by_confidence(confidence: np.ndarray, correct: np.ndarray, parts: int = 4) -> list[float]:
    """Error rate in ``parts`` equally large groups of voxels, from least to most confident."""
    order = np.argsort(np.asarray(confidence).ravel(), kind="stable")
    wrong = ~np.asarray(correct, bool).ravel()[order]
    return [
        float(group.mean()) if group.size else float("nan")
        for group in np.array_split(wrong, parts)
    ]


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        other = tuple(i for i in range(mask.ndim) if i != axis)
        used = np.flatnonzero(mask.any(axis=other))
        box.append(slice(max(int(used[0]) - 1, 0), int(used[-1]) + 2))
    return tuple(box)


def region_errors(regions: np.ndarray, wrong: np.ndarray) -> dict[str, tuple[float, float]]:
    """Share of the judged voxels and error rate of each MetaSSL region.

    Parameters
    ----------
    regions : ndarray of uint8, (N,)
        Region codes 1 to 4; 0 is not judged.
    wrong : ndarray of bool, (N,)
    """
    judged = max(int((regions > 0).sum()), 1)
    result = {}
    for code, name in ((1, "UC"), (2, "US"), (3, "DC"), (4, "DS")):
        here = regions == code
        count = int(here.sum())
        result[name] = (count / judged, float(wrong[here].mean()) if count else 0.0)
    return result
