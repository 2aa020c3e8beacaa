"""From an image layer to a project."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from ..volume.annotation import NOT_ANNOTATED, Ink
from ..volume.classes import BACKGROUND
from ..volume.project import ImageInfo, Project, ProjectError
from .layer_roles import METADATA, role_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Image, Labels

    from ..volume.classes import ClassTable

#: Environment variable that moves the folder of all projects.
HOME_VARIABLE = "NAPARI_SSLSEG_HOME"


class ImageError(ValueError):
    """An image layer that cannot be segmented; the message is for the user."""


def projects_folder() -> Path:
    """Folder in which projects are made."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_data_path("napari-sslseg"))


def new_project_path(name: str) -> Path:
    """Return a free folder for a new project on the image `name`."""
    stem = "-".join("".join(c if c.isalnum() else " " for c in name).split()) or "volume"
    base = projects_folder() / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = base, 1
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return path


def suitable(layer: Any) -> str:
    """Why a layer cannot be segmented, empty when it can."""
    if role_of(layer):
        return "this is a layer of napari-sslseg"
    shape = layer.data.shape if not layer.multiscale else layer.data[0].shape
    spatial = shape[:-1] if getattr(layer, "rgb", False) else shape
    if len(spatial) != 3:
        return f"the image has {len(spatial)} dimensions; a volume has 3"
    if min(spatial) < 2:
        return f"the volume of shape {tuple(spatial)} is flat"
    return ""


def read_layer(layer: Image) -> tuple[npt.NDArray[Any], ImageInfo]:
    """Voxels and description of an image layer, as shown. May read from disk: use a thread.

    Raises
    ------
    ImageError
        When the layer is no volume, or holds values that are not finite.
    """
    reason = suitable(layer)
    if reason:
        raise ImageError(f"“{layer.name}” cannot be segmented: {reason}.")
    array = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageError(
            f"“{layer.name}” holds values that are not finite (NaN); replace them and try again."
        )
    entry = dict(layer.metadata.get(METADATA, {}))
    info = ImageInfo(
        name=layer.name,
        shape=tuple(int(n) for n in array.shape[:3]),
        spacing=spacing_of(layer),
        channels=int(array.shape[3]) if array.ndim == 4 else 1,
        rgb=bool(layer.rgb),
        source=str(entry.get("source") or layer.source.path or ""),
        layer={
            "scale": [float(v) for v in layer.scale],
            "translate": [float(v) for v in layer.translate],
            "units": [str(u) for u in layer.units],
            "axis_labels": [str(a) for a in layer.axis_labels],
            "contrast_limits": [float(v) for v in layer.contrast_limits],
            "metadata": entry,
            **_further_transforms(layer),
        },
    )
    return array, info


def _further_transforms(layer: Image) -> dict[str, Any]:
    """Return how a layer of another plugin is turned or sheared, as JSON values."""
    n = len(layer.scale)
    turned, sheared, affine = layer.rotate, layer.shear, layer.affine.affine_matrix
    found: dict[str, Any] = {}
    if not np.array_equal(turned, np.eye(n)):
        found["rotate"] = np.asarray(turned, float).tolist()
    if np.any(sheared):
        found["shear"] = np.asarray(sheared, float).tolist()
    if not np.array_equal(affine, np.eye(n + 1)):
        found["affine"] = np.asarray(affine, float).tolist()
    return found


def spacing_of(layer: Image) -> tuple[float, ...]:
    """Voxel size along the three axes of a volume layer."""
    return tuple(abs(float(s)) or 1.0 for s in layer.scale[-3:])


def default_axis(spacing: tuple[float, ...]) -> int:
    """Slicing axis to start with: the one with the thickest slices, else the first (axial)."""
    thickest = int(np.argmax(spacing))
    return thickest if spacing[thickest] > 1.2 * float(np.median(spacing)) else 0


def adopt_ink(layer: Labels) -> Ink:
    """Ink of a labels layer that was there before the project.

    Raises
    ------
    ImageError
        When its values cannot be class ids.
    """
    data = np.asarray(layer.data)
    if data.min() < 0 or data.max() > NOT_ANNOTATED:
        raise ImageError(
            f"“{layer.name}” holds labels from {data.min()} to {data.max()}; class ids are 0 to "
            "254, and 255 is for voxels that are not annotated. Rename the layer or its labels."
        )
    ink: Ink = data.astype(np.uint8)
    if not (ink == NOT_ANNOTATED).any() and not (ink > BACKGROUND).all():
        # An ordinary labels layer: there 0 is what nobody has painted, not stated background.
        ink[ink == BACKGROUND] = NOT_ANNOTATED
    return ink


def make_project(
    path: Path,
    array: npt.NDArray[Any],
    info: ImageInfo,
    classes: ClassTable,
    axis: int,
    ink: npt.NDArray[np.uint8] | None,
) -> tuple[Project, npt.NDArray[np.uint8]]:
    """Create a project and its ink on disk; takes time, so use a thread.

    Parameters
    ----------
    ink : ndarray of uint8 or None
        Ink to begin with (an existing References layer), None for blank.
    """
    project = Project.create(path, array, info, classes, axis)
    blank = project.ink_store.load()
    if ink is not None:
        project.ink_store.save(ink)
        return project, ink.copy()
    return project, blank


def open_project(path: Path) -> tuple[Project, npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Open a project with its image and ink; takes time, so use a thread.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    project = Project.open(path)
    image = np.asarray(project.image())
    try:
        return project, image, project.ink_store.load()
    except ValueError as error:
        raise ProjectError(str(error)) from error
