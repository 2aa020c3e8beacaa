"""Files of a data set through the application's own formats."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .dataset_masks import BinaryMasks
from .dataset_notes import FileNotes
from .dataset_regions import RegionValues, holds_regions
from .formats import read, read_labels, write_labels
from .formats.label_placing import GridDiffersError, laid_onto
from .formats.multichannel import read_channels
from .formats.places import says_where
from .formats.suffixes import READERS
from .formats.writing import written_suffix

if TYPE_CHECKING:
    import numpy.typing as npt

    from .training.dataset.cases import ImageData
    from .training.dataset.description import Dataset, Entry
    from .volume.image import Volume


@dataclass(frozen=True)
class FormatsReader:
    """Reads images and labels of every format that the application opens.

    Parameters
    ----------
    regions
        What becomes of regions in label files that have them; they are read as no labels without.
    annotations, predictions
        Whether 255 stands for the object in annotations and in predictions; for nothing without.
    notes
        Where remarks on the files go.
    """

    regions: RegionValues | None = None
    annotations: BinaryMasks | None = None
    predictions: BinaryMasks | None = None
    notes: FileNotes = field(default_factory=FileNotes, compare=False)

    @classmethod
    def of(
        cls, dataset: Dataset, cases: str = "", predictions: Path | None = None
    ) -> FormatsReader:
        """Return the reader for the label files of a data set.

        Parameters
        ----------
        dataset
            The data set.
        cases
            A list that is read besides the labelled and the validation cases.
        predictions
            Folder of predictions of that list.
        """
        lists = [name for name in ("labelled", "validation", cases) if name]
        entries = [entry for name in lists for entry in dataset.cases(name)]
        annotated = [entry.labels for entry in entries if entry.labels is not None]
        found = []
        if predictions is not None:
            found = [find_prediction(predictions, entry) for entry in dataset.cases(cases)]
        return cls(
            RegionValues(dataset.classes, dataset.overlapping, dataset.complete_contours),
            BinaryMasks(dataset, annotated, "annotations"),
            BinaryMasks(dataset, [path for path in found if path is not None], "predictions"),
        )

    def image(self, paths: tuple[Path, ...]) -> ImageData:
        """Read an image, decoded; several files are channels, on the grid of the first one.

        Raises
        ------
        FormatError
            With one sentence, when they cannot be read or are on different grids.
        """
        from .training.dataset.cases import ImageData

        volume = self.volume(paths)
        spacing = tuple(float(s) for s in volume.geometry.spacing_mm)
        onto = functools.partial(self.labels, like=volume)
        return ImageData(np.asarray(volume.array), spacing, volume.has_channel_axis, onto)

    def labels(
        self, path: Path, like: Volume | None = None, *, complete: bool = False
    ) -> npt.NDArray[Any]:
        """Read an annotation.

        Parameters
        ----------
        path
            Of the label file.
        like
            Image whose grid the labels are brought onto, see `laid_onto`; what they do not cover is
            not annotated. By default they stay as they are.
        complete
            Whether slices without a contour are background, whatever `regions` say.

        Raises
        ------
        DatasetError
            When it is another grid, or when no region is a class.
        FormatError
            When the labels cannot be read, or have another shape and do not say where they lie.
        """
        if self.regions is not None and holds_regions(path):
            values = replace(self.regions, complete=True) if complete else self.regions
            return values.read(path, like)
        return self._onto(path, self._read(path, self.annotations), like)

    def _read(self, path: Path, masks: BinaryMasks | None) -> Volume:
        found = read_labels(path)
        self.notes.say(path, found.warnings)
        return found if masks is None else masks.with_class(found)

    def _onto(self, path: Path, labels: Volume, like: Volume | None) -> npt.NDArray[Any]:
        """Return labels on the grid of an image."""
        if like is None:
            return np.asarray(labels.array)
        from .training.dataset.errors import DatasetError

        try:
            placed = laid_onto(str(path), labels, like)
        except GridDiffersError as error:
            raise DatasetError(
                f"{path} is on another grid than the image {like.source or like.name}: "
                f"{error.reason}; resample it onto the image first."
            ) from error
        self.notes.say(path, placed.remarks)
        return placed.labels

    def volume(self, paths: tuple[Path, ...]) -> Volume:
        """Read an image with its geometry; see `image`."""
        found = read_channels(list(paths)) if len(paths) > 1 else read(paths[0])
        self.notes.say(paths[0], found.warnings)
        return found

    def scored(
        self, entry: Entry, prediction: Path
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[float, ...]]:
        """Read what is compared of an annotated case.

        Parameters
        ----------
        entry
            With an annotation.
        prediction
            Label file.

        Returns
        -------
        predicted, truth : ndarray
            Label values, on the grid of the image.
        spacing : tuple of float
            mm along each axis of the image.

        Raises
        ------
        DatasetError
            When the files say that they are on different grids.
        FormatError
            When one cannot be read.
        """
        assert entry.labels is not None
        # Channels lie on the grid of the first one.
        image = read(entry.images[0])
        self.notes.say(entry.images[0], image.warnings)
        truth = self.labels(entry.labels, image)
        spacing = tuple(float(s) for s in image.geometry.spacing_mm)
        if self.regions is not None and holds_regions(prediction):
            return self.labels(prediction, image, complete=True), truth, spacing
        predicted = self._read(prediction, self.predictions)
        if says_where(predicted) and not says_where(image) and not holds_regions(entry.labels):
            # A picture says nothing, but its two label files may.
            own = read_labels(entry.labels)
            if says_where(own):
                predicted = replace(own, array=self._onto(prediction, predicted, own))
        return self._onto(prediction, predicted, image), truth, spacing


def prediction_path(folder: Path, name: str, like: Path) -> Path:
    """Return where the prediction of a case is written: in its image's format where that can be.

    Parameters
    ----------
    folder
        Of the predictions.
    name
        Of the case.
    like
        Image; where nothing is written in its format, the suffix becomes ``.nii.gz``.
    """
    suffix = written_suffix(like)
    return folder / f"{name}{suffix or '.nii.gz'}"


def find_prediction(folder: Path, entry: Entry) -> Path | None:
    """Return the prediction of a case, in any format that can be read; None when there is none.

    Raises
    ------
    DatasetError
        When there are several, of which nobody can tell which one is meant.
    """
    if not folder.is_dir():
        return None
    found = [
        path
        for path in sorted(folder.iterdir())
        # All that follows the name has to be a suffix: “a.b.nii.gz” is of another case than “a”.
        if path.name.startswith(entry.name) and path.name[len(entry.name) :].lower() in READERS
    ]
    if len(found) > 1:
        from .training.dataset.errors import DatasetError

        raise DatasetError(
            f"{found[0]} and {found[1]} are both predictions of {entry.name}; move one of them to "
            "another folder."
        )
    return found[0] if found else None


def write_prediction(path: Path, labels: npt.NDArray[np.uint8], like: Volume) -> None:
    """Write label values, in the image's file order, with its geometry.

    Raises
    ------
    FormatError
        As of `write_labels`.
    """
    write_labels(path, labels, like)
