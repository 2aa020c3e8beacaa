"""Predicted label files of a data set against the annotations of its cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .command_errors import one_volume_a_case
from .dataset_files import FormatsReader, find_prediction

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    from .training.dataset.description import Dataset
    from .training.dataset.entries import Entry
    from .training.dataset.evaluation import Report

    Indices = npt.NDArray[Any]


@one_volume_a_case()
def score_files(described: Dataset, predictions: Path, cases: str) -> Report:
    """Score label files against the annotations of a list.

    Parameters
    ----------
    described
        The data set.
    predictions
        Folder with one label file for each case.
    cases
        Name of the list.

    Returns
    -------
    Report
        Distances in mm, or in voxels where the description says so.

    Raises
    ------
    UserError
        With one sentence for the user, if labels or predictions are missing, cannot be read, or
        are on different grids.
    """
    from .training.dataset.description import DatasetError
    from .training.dataset.evaluation import Report, score_case

    reader = FormatsReader.of(described, cases, predictions)
    unit = "voxels" if described.distances == "voxels" else "mm"
    report = Report(tuple(described.classes.values()), unit)
    entries = described.cases(cases)
    if not any(entry.labels for entry in entries):
        sought = entries[0].sought if entries else ""
        raise DatasetError(
            f"No case of the {cases} list has labels to compare with{sought}; check labels under "
            "volumes, or choose another list with --cases."
        )
    for entry in entries:
        # Else the mean would be one of other cases than the list says.
        if entry.labels is None:
            raise DatasetError(
                f"{entry.name} of the {cases} list has no labels to compare with{entry.sought}; "
                "check labels under volumes, or take it out."
            )
    with reader.notes:
        for entry in entries:
            predicted, truth, spacing = _indices(entry, described, predictions, reader)
            report.cases[entry.name] = score_case(predicted, truth, described, spacing)
    return report


def _indices(
    entry: Entry, described: Dataset, predictions: Path, reader: FormatsReader
) -> tuple[Indices, Indices, tuple[float, ...]]:
    """Return the predicted and the annotated classes of a case, and its spacing."""
    from .training.dataset.cases import to_indices
    from .training.dataset.description import DatasetError

    path = find_prediction(predictions, entry)
    if path is None:
        raise DatasetError(
            f"There is no prediction of {entry.name} in {predictions}; name the folder that "
            "“predict” wrote, and the same list of cases."
        )
    predicted, truth, spacing = reader.scored(entry, path)
    if predicted.shape != truth.shape:
        raise DatasetError(
            f"{path} has the shape {predicted.shape}, the labels of {entry.name} "
            f"{truth.shape}; predict that case again."
        )
    if described.distances == "voxels":
        spacing = (1.0,) * truth.ndim
    pair = []
    for values in (predicted, truth):
        flat = values.ndim == 2
        found = to_indices(values[None] if flat else values, described)
        if described.overlapping:
            found = np.moveaxis(found, 1, 0)
            pair.append(found[:, 0] if flat else found)
        else:
            pair.append(found[0] if flat else found)
    return pair[0], pair[1], spacing
