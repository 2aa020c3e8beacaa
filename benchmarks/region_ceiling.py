"""An oracle of the regions: what the best thresholds of all would give, chosen with the truth.

Which voxels are confident is a threshold on their chance of being right. If no threshold keeps a
promise, it is not the threshold that is wanting.
"""

from __future__ import annotations

import numpy as np

#: What is wanted of UC: its share of the object's neighbourhood at least, its error at most.
SHARE, ERROR = 0.7, 0.02

#: Thresholds that are tried on the unanimous, and on the discrepant.
_UNANIMOUS, _DISCREPANT = 200, 60


def ceiling(unanimous: np.ndarray, confidence: np.ndarray, wrong: np.ndarray) -> dict[str, object]:
    """Return what any pair of thresholds reaches in a case.

    Parameters
    ----------
    unanimous : ndarray of bool, (N,)
        Whether both predictions name one class.
    confidence : ndarray of float, (N,)
        Chance of being right.
    wrong : ndarray of bool, (N,)

    Returns
    -------
    dict
        ``uc_share``: the largest share of all voxels that UC can hold with an error of 2 %;
        ``rises``: whether the error can rise strictly from UC to DS; ``rises_and_holds``: whether
        it can while UC holds 70 % with an error of 2 %.
    """
    total = max(len(wrong), 1)
    agreed = _cumulated(confidence[unanimous], wrong[unanimous])
    apart = _cumulated(confidence[~unanimous], wrong[~unanimous])
    count, errors = agreed
    kept = count[errors <= ERROR * count]
    found: dict[str, object] = {"uc_share": float(kept.max()) / total}
    # Each: voxels in the confident region, its error rate, that of the suspicious one.
    uc, dc = (_split(part, steps) for part, steps in ((agreed, _UNANIMOUS), (apart, _DISCREPANT)))
    if not len(uc) or not len(dc):
        return found | {"rises": False, "rises_and_holds": False}
    size, low, middle = (column[:, None] for column in uc.T)
    _, high, highest = (column[None, :] for column in dc.T)
    rises = (low < middle) & (middle < high) & (high < highest)
    holds = (size >= SHARE * total) & (low <= ERROR)
    return found | {"rises": bool(rises.any()), "rises_and_holds": bool((rises & holds).any())}


def _cumulated(confidence: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many voxels lie above each chance that occurs, and how many of them are wrong."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.diff(confidence[order], append=-1.0))
    errors = np.cumsum(wrong[order])[ends] if len(order) else np.zeros(0)
    return np.concatenate(([0], ends + 1)), np.concatenate(([0], errors))


def _split(part: tuple[np.ndarray, np.ndarray], steps: int) -> np.ndarray:
    """Return (size, error, error of the rest) of splits that leave voxels on either side."""
    count, errors = part
    inside = np.arange(1, len(count) - 1)
    if len(inside) > steps:
        inside = inside[np.linspace(0, len(inside) - 1, steps).round().astype(int)]
    size, bad = count[inside], errors[inside]
    return np.stack([size, bad / size, (errors[-1] - bad) / (count[-1] - size)], 1)
