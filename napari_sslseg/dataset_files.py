"""Files of a data set through the application's own formats."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .dataset_regions import RegionValues, holds_regions
from .formats import read, read_labels, write_labels
from .formats.grids import difference, placement, with_slice_axis
from .formats.multichannel import read_channels
from .formats.places import says_where
from .formats.suffixes import READERS
from .formats.writing import written_suffix
from .volume.annotation import NOT_ANNOTATED

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
    """

    regions: RegionValues | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> FormatsReader:
        """Return the reader for the label files of a data set."""
        complete = dataset.complete_contours
        return cls(RegionValues(dataset.classes, dataset.overlapping, complete))

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
            Image whose grid the labels are brought onto, where both files say where they lie: in
            any order and direction of axes, or of a part of it, as long as voxel lies on voxel;
            what is not covered is not annotated. Else, and by default, labels stay as they are.
        complete
            Whether slices without a contour are background, whatever `regions` say.

        Raises
        ------
        DatasetError
            When both say where they lie and it is another grid, or when no region is a class.
        """
        if self.regions is not None and holds_regions(path):
            values = replace(self.regions, complete=True) if complete else self.regions
            return values.read(path, like)
        found = read_labels(path)
        if like is None or not (says_where(found) and says_where(like)):
            return np.asarray(found.array)
        return _onto_image(path, found, like)

    def volume(self, paths: tuple[Path, ...]) -> Volume:
        """Read an image with its geometry; see `image`."""
        return read_channels(list(paths)) if len(paths) > 1 else read(paths[0])

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
            Label values, on one grid where files say where they lie; else as the files have them.
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
        truth = self.labels(entry.labels, image)
        # A picture says nothing, but its two label files may.
        bare = not says_where(image) and not holds_regions(entry.labels)
        onto = read_labels(entry.labels) if bare else image
        predicted = self.labels(prediction, onto, complete=True)
        return predicted, truth, tuple(float(s) for s in image.geometry.spacing_mm)


def _onto_image(path: Path, labels: Volume, like: Volume) -> npt.NDArray[np.uint8]:
    from .training.dataset.errors import DatasetError

    own, grid = labels.geometry, like.geometry
    if own.ndim != grid.ndim:  # a single slice may be a plane in one file, a volume in the other
        own, grid = with_slice_axis(own), with_slice_axis(grid)
    found = np.full(grid.shape, NOT_ANNOTATED, np.uint8)
    placed = placement(own, grid)
    if placed is not None and placed.put(np.asarray(labels.array).reshape(own.shape), found):
        return found.reshape(like.geometry.shape)
    raise DatasetError(
        f"{path} is on another grid than the image {like.source or like.name}: "
        f"{difference(labels.geometry, like.geometry)}; resample it onto the image first."
    )


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
    """Return the prediction of a case, in any format that can be read; None when there is none."""
    expected = prediction_path(folder, entry.name, entry.images[0])
    if expected.exists():
        return expected
    if not folder.is_dir():
        return None
    found = [
        path
        for path in sorted(folder.iterdir())
        # All that follows the name has to be a suffix: “a.b.nii.gz” is of another case than “a”.
        if path.name.startswith(entry.name) and path.name[len(entry.name) :].lower() in READERS
    ]
    return found[0] if found else None


def write_prediction(path: Path, labels: npt.NDArray[np.uint8], like: Volume) -> None:
    """Write label values, in the image's file order, with its geometry.

    Raises
    ------
    FormatError
        As of `write_labels`.
    """
    write_labels(path, labels, like)
