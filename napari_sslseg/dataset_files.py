"""Files of a data set through the application's own formats."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .formats import read, read_labels, write_labels
from .formats.multichannel import read_channels
from .formats.writing import written_suffix

if TYPE_CHECKING:
    import numpy.typing as npt

    from .training.dataset.cases import ImageData
    from .training.dataset.description import Entry
    from .volume.image import Volume


class FormatsReader:
    """Reads images and labels of every format that the application opens."""

    def image(self, paths: tuple[Path, ...]) -> ImageData:
        """Read an image; several files are channels."""
        from .training.dataset.cases import ImageData

        volume = self.volume(paths)
        spacing = tuple(float(s) for s in volume.geometry.spacing_mm)
        return ImageData(np.asarray(volume.array), spacing, volume.has_channel_axis)

    def labels(self, path: Path) -> npt.NDArray[Any]:
        """Read an annotation."""
        return np.asarray(read_labels(path).array)

    def volume(self, paths: tuple[Path, ...]) -> Volume:
        """Read an image with its geometry."""
        return read_channels(list(paths)) if len(paths) > 1 else read(paths[0])


def prediction_path(folder: Path, name: str, like: Path) -> Path:
    """Return where the prediction of a case is written: in its image's format where that can be."""
    suffix = written_suffix(like)
    return folder / f"{name}{suffix or '.nii.gz'}"


def find_prediction(folder: Path, entry: Entry) -> Path | None:
    """Return the prediction of a case, in whatever format; None when there is none."""
    expected = prediction_path(folder, entry.name, entry.images[0])
    if expected.exists():
        return expected
    found = [p for p in sorted(folder.glob(f"{glob.escape(entry.name)}.*")) if written_suffix(p)]
    return found[0] if found else None


def write_prediction(path: Path, labels: npt.NDArray[np.uint8], like: Volume) -> None:
    """Write label values with an image's geometry."""
    write_labels(path, labels, like)
