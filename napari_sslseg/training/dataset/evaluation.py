"""Scores of predicted cases: Dice, Jaccard, HD95 and ASD by MONAI, per class and case.

MONAI's HD95 is the larger of the two directed 95th percentiles. Most papers use medpy's, the
percentile of the distances of both directions together, which is smaller as a rule: much so where
one side lies far from the other but not the other from it.
"""

from __future__ import annotations

import csv
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...volume.annotation import NOT_ANNOTATED
from ...volume.replacing import replacing_all
from .description import MEAN, Dataset, DatasetError

METRICS = ("dice", "jaccard", "hd95", "asd")

Scores = dict[str, float]


@dataclass
class Report:
    """Scores of many cases.

    Attributes
    ----------
    classes
        Names, in the order of the classes.
    unit
        Of the distances.
    cases
        Case to class to metric to value. Distances of a class that only one side has are NaN.
    """

    classes: tuple[str, ...]
    unit: str
    cases: dict[str, dict[str, Scores]] = field(default_factory=dict)

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return mean and sample standard deviation over cases, by class and metric.

        The class ``"mean"`` is the mean over classes in each case. ``n`` is the number of cases
        with a value, ``undefined`` that of the others.
        """
        rows = {name: [scores[name] for scores in self.cases.values()] for name in self.classes}
        rows[MEAN] = [self._mean(scores) for scores in self.cases.values()]
        return {
            name: {m: _spread([s[m] for s in scores]) for m in METRICS}
            for name, scores in rows.items()
        }

    def _mean(self, scores: Mapping[str, Scores]) -> Scores:
        found = {}
        for metric in METRICS:
            values = [s[metric] for s in scores.values() if not math.isnan(s[metric])]
            found[metric] = float(np.mean(values)) if values else math.nan
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        content = {"unit": self.unit, "summary": self.summary(), "cases": self.cases}
        cleaned = _without_nan(content)
        assert isinstance(cleaned, dict)
        return cleaned

    def write(self, stem: Path) -> tuple[Path, Path]:
        """Write ``stem.json`` and ``stem.csv``, both whole or neither; return their paths.

        Parameters
        ----------
        stem
            In a folder that exists; a dot in its name begins no suffix.

        Raises
        ------
        OSError
            When they cannot be written.
        """
        table, head = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.json")
        with replacing_all([head, table]) as parts:
            parts[0].write_text(json.dumps(self.to_json(), indent=1), encoding="utf-8")
            with parts[1].open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(self._rows())
        return head, table

    def _rows(self) -> Iterator[list[str]]:
        """Yield the lines of the table."""
        yield ["case", "class", *METRICS]
        for case, scores in self.cases.items():
            for name, values in {**scores, MEAN: self._mean(scores)}.items():
                yield [case, name, *(_text(values[m]) for m in METRICS)]
        for name, metrics in self.summary().items():
            for key in ("mean", "sd"):
                row = [_text(metrics[m][key]) for m in METRICS]
                yield [f"{key} of {len(self.cases)} cases", name, *row]


def score_case(
    predicted: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.uint8],
    dataset: Dataset,
    spacing: Sequence[float],
) -> dict[str, Scores]:
    """Score one case.

    A class that neither side has scores 1 in Dice and Jaccard and has no distances; one that only
    one side has scores 0, and has none either. HD95 is the larger of the two directed percentiles.

    Parameters
    ----------
    predicted, truth
        Class indices of the same shape, or ``(K, ...)`` of 0 and 1 where classes overlap. Pixels
        that are not annotated do not count for overlaps, and are background for distances.
    dataset
        For the classes.
    spacing
        Of each axis, in the unit of the distances.

    Returns
    -------
    dict
        Name of a class to metric to value; NaN for a distance that there is none of.

    Raises
    ------
    DatasetError
        When the shapes differ, or MONAI is missing.
    """
    if predicted.shape != truth.shape:
        raise DatasetError(
            f"A prediction has the shape {predicted.shape}, its annotation {truth.shape}."
        )
    known = truth != NOT_ANNOTATED
    scores = {}
    for k, name in enumerate(dataset.classes.values()):
        if dataset.overlapping:
            p, t = (predicted[k] == 1) & known[k], truth[k] == 1
        else:
            p, t = (predicted == k + 1) & known, truth == k + 1
        scores[name] = _score(p, t, spacing)
    return scores


def _score(p: npt.NDArray[np.bool_], t: npt.NDArray[np.bool_], spacing: Sequence[float]) -> Scores:
    metrics = _monai_metrics()
    # Far background changes nothing but the time that distances take.
    box = _box(p | t)
    a, b = (torch.from_numpy(np.ascontiguousarray(m[box]))[None, None].float() for m in (p, t))
    counts = {"dice": metrics.compute_dice, "jaccard": metrics.compute_iou}
    if not p.any() and not t.any():
        return {"dice": 1.0, "jaccard": 1.0, "hd95": math.nan, "asd": math.nan}
    scores = {
        name: float(_one(function(a, b, include_background=True, ignore_empty=False)))
        for name, function in counts.items()
    }
    if not p.any() or not t.any():
        return {**scores, "hd95": math.nan, "asd": math.nan}
    unit = [float(s) for s in spacing]
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 use an argument of their own that they have deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        hd95 = metrics.compute_hausdorff_distance(
            a, b, include_background=True, percentile=95, spacing=unit
        )
        asd = metrics.compute_average_surface_distance(
            a, b, include_background=True, symmetric=True, spacing=unit
        )
    return {**scores, "hd95": float(_one(hd95)), "asd": float(_one(asd))}


def _one(values: Tensor) -> Tensor:
    return values.flatten()[0]


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(i for i in range(mask.ndim) if i != axis)))
        low, high = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
        box.append(slice(max(low - 2, 0), high + 3))
    return tuple(box)


def _spread(values: list[float]) -> dict[str, float]:
    known = [v for v in values if not math.isnan(v)]
    return {
        "mean": float(np.mean(known)) if known else math.nan,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else math.nan,
        "n": len(known),
        "undefined": len(values) - len(known),
    }


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: _without_nan(v) for k, v in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


def _monai_metrics():  # type: ignore[no-untyped-def]
    try:
        from monai import metrics
    except ImportError as error:
        raise DatasetError("Scores need MONAI; install it with: pip install monai") from error
    return metrics
