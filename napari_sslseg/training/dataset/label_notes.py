"""What is remarkable about the labels of a run: classes without a pixel, and values of no class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ...volume.annotation import NOT_ANNOTATED
from ...volume.array_files import value_counts
from ...volume.classes import BACKGROUND
from .cases import Case
from .description import Dataset


def label_notes(labelled: Sequence[Case], others: Sequence[Case], dataset: Dataset) -> list[str]:
    """Return sentences for people.

    Parameters
    ----------
    labelled
        Cases to learn from.
    others
        Further cases whose labels are read: a class that they alone show is not learned.
    dataset
        For the classes, and the paths of the files.
    """
    return [*_unseen(labelled, dataset), *_strange([*labelled, *others], dataset)]


def _unseen(cases: Sequence[Case], dataset: Dataset) -> Iterable[str]:
    seen = {value for case in cases for value in _classes_of(case, dataset)}
    held = {value for case in cases for value in case.values}
    absent: list[str] = []
    lost: list[str] = []
    for value, name in dataset.classes.items():
        if value not in seen:
            there = any(v & value for v in held) if dataset.overlapping else value in held
            (lost if there else absent).append(f"{value} ({name})")
    if absent:
        yield (
            f"no labelled case shows {_row('class', 'classes', absent)}, so "
            f"{_one(absent, 'it is', 'they are')} never predicted; check classes."
        )
    if lost:
        yield (
            f"{_row('class', 'classes', lost)} {_one(lost, 'is', 'are')} in the labels, but not in "
            f"what is left of them at size {list(dataset.size)} and middle {dataset.middle:g}, so "
            f"{_one(lost, 'it is', 'they are')} never predicted; enlarge one of the two."
        )


def _classes_of(case: Case, dataset: Dataset) -> list[int]:
    """Return the values of the classes that a case shows as training sees it."""
    if case.target is None:
        return []
    target: npt.NDArray[np.uint8] = case.target.numpy()
    if dataset.overlapping:
        return [v for k, v in enumerate(dataset.classes) if (target[:, k] == 1).any()]
    counts = value_counts(target)
    return [v for k, v in enumerate(dataset.classes, start=1) if counts[k]]


def _strange(cases: Sequence[Case], dataset: Dataset) -> Iterable[str]:
    known = {BACKGROUND, NOT_ANNOTATED, *dataset.not_annotated}
    every = sum(dataset.classes)
    found: dict[int, None] = {}
    files = []
    for case in cases:
        if dataset.overlapping:
            odd = [v for v in case.values if v not in known and v & ~every]
        else:
            odd = [v for v in case.values if v not in known and v not in dataset.classes]
        if odd:
            found |= dict.fromkeys(odd)
            files.append(dataset.entries[case.name].labels)
    if not files:
        return
    values = [str(value) for value in sorted(found)]
    where = f"in {files[0]}" if len(files) == 1 else f"in {len(files)} files, first {files[0]},"
    what = _one(values, "is no class and counts", "are no classes and count")
    if dataset.overlapping:
        what = f"{_one(values, 'has a part that is', 'have parts that are')} no class and"
        what += _one(values, " counts", " count")
    them = _one(values, "it", "them")
    yield (
        f"{_row('the value', 'the values', values)} {where} {what} as background; unless that is "
        f"meant, name {them} under classes, or list {them} under not_annotated."
    )


def _row(one: str, more: str, items: Sequence[str]) -> str:
    *most, last = items
    return f"{_one(items, one, more)} {', '.join(most)}{' and ' if most else ''}{last}"


def _one(items: Sequence[str], one: str, more: str) -> str:
    return one if len(items) == 1 else more
