"""From an image layer to a project."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
from napari.utils.colormaps import AVAILABLE_COLORMAPS
from napari.utils.transforms import Affine

from ..volume.annotation import NOT_ANNOTATED, Ink
from ..volume.array_files import MAPPED, pieces
from ..volume.classes import BACKGROUND
from ..volume.project import ImageInfo, Project, ProjectError
from .channels import CHANNEL, GROUP, VOLUME, new_group, stacked, why_not_joinable
from .contrast import RANGE, follow
from .layer_roles import METADATA, role_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from ..volume.classes import ClassTable

#: Environment variable that moves the folder of all projects.
HOME_VARIABLE = "NAPARI_SSLSEG_HOME"


#: Voxels by which a slice may be shown beside where it lies, for instance by rounded transforms.
_OUT_OF_PLANE = 0.1

#: What our metadata holds for the moment only: a project's own record says it otherwise.
_NOT_KEPT = (GROUP, CHANNEL, VOLUME, RANGE, "remarks")


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


def finest(layer: Image) -> Any:
    """Voxels of an image layer; where it has several resolutions, of the finest one."""
    return layer.data[0] if layer.multiscale else layer.data


def source_of(layer: Image) -> str:
    """Path of the file that an image layer came from, empty when there is none."""
    return str(layer.metadata.get(METADATA, {}).get("source") or layer.source.path or "")


def suitable(layer: Any) -> str:
    """Why a layer cannot be segmented, empty when it can."""
    if role_of(layer):
        return "this is a layer of napari-sslseg"
    shape = finest(layer).shape
    spatial = shape[:-1] if getattr(layer, "rgb", False) else shape
    if len(spatial) < 3:
        return (
            "this is a single picture, and a volume has many slices; open all of its pictures as "
            "one, with Open ▸ Folder or napari's File ▸ Open Files as Stack"
        )
    if len(spatial) > 3:
        how = "" if getattr(layer, "rgb", False) else ": right click on the layer, Split Stack"
        return f"the image has {len(spatial)} dimensions, a volume 3; take one out of it{how}"
    if min(spatial) < 2:
        return f"the volume of shape {tuple(spatial)} is flat; it needs several slices"
    if not level_axes(layer):
        return (
            "it is rotated or sheared out of its slices, and strokes would land elsewhere than "
            "they are seen; open its file with napari-sslseg, which shows the slices as they are "
            "stored, or take the rotation off the layer"
        )
    return ""


def read_layer(layer: Image, channels: Sequence[Image] = ()) -> tuple[npt.NDArray[Any], ImageInfo]:
    """Voxels and description of an image, as shown. May read from disk: use a thread.

    A large image is not read but returned as it is, memory-mapped or lazy.

    Parameters
    ----------
    layer : Image
        A volume, which gives the project its place in the world.
    channels : sequence of Image
        All channels of the volume where there are several, from `channels_of`; `layer` is one.

    Raises
    ------
    ImageError
        When a layer is no volume, does not have the shape of the others, or holds no finite
        value; it names the layer.
    """
    members = list(channels) if len(channels) > 1 else [layer]
    layer = members[0]
    for member in members:
        reason = suitable(member) or (why_not_joinable(member) if len(members) > 1 else "")
        if reason:
            raise ImageError(f"“{member.name}” cannot be segmented: {reason.rstrip('.')}.")
    if len(members) > 1:
        try:
            array = stacked(members)
        except ValueError as error:
            raise ImageError(f"The channels do not fit: {error}.") from error
    else:
        array = finest(layer)
        if array.size <= MAPPED:
            array = np.asarray(array)
    if empty := _without_number(array, members):
        leave = "; leave it out of the channels" if len(members) > 1 else ""
        raise ImageError(f"“{empty}” holds no number in any voxel, only NaN or infinite{leave}.")
    entry = {k: v for k, v in layer.metadata.get(METADATA, {}).items() if k not in _NOT_KEPT}
    info = ImageInfo(
        name=str(layer.metadata.get(METADATA, {}).get(VOLUME) or layer.name),
        shape=tuple(int(n) for n in array.shape[:3]),
        spacing=spacing_of(layer),
        channels=int(array.shape[3]) if array.ndim == 4 else 1,
        rgb=bool(layer.rgb),
        source=source_of(layer),
        layer={
            "scale": [float(v) for v in layer.scale],
            "translate": [float(v) for v in layer.translate],
            "units": [str(u) for u in layer.units],
            "axis_labels": [str(a) for a in layer.axis_labels],
            "contrast_limits": [float(v) for v in layer.contrast_limits],
            "metadata": entry,
            "channels": [] if layer.rgb else [_appearance(member) for member in members],
            **further_transforms(layer),
        },
    )
    return array, info


def _without_number(array: Any, members: Sequence[Image]) -> str:
    """Return the name of the first layer whose channel of an array holds no number, or nothing."""
    if array.dtype.kind != "f":
        return ""
    seen = np.zeros(len(members), dtype=bool)
    for piece in pieces(array):
        seen |= np.isfinite(piece).reshape(-1, len(members)).any(axis=0)
        if seen.all():
            return ""
    return str(members[int(seen.argmin())].name)


def show_image(viewer: ViewerModel, array: npt.NDArray[Any], info: ImageInfo) -> Image:
    """Add the image of a project to a viewer as it was shown before.

    Returns
    -------
    Image
        The layer, of several channels the first one.
    """
    shown = info.layer
    options: dict[str, Any] = {
        key: shown[key]
        for key in ("translate", "units", "axis_labels", "rotate", "shear", "affine")
        if key in shown
    }
    options["scale"] = shown.get("scale", info.spacing)
    metadata = shown.get("metadata", {})
    if info.rgb:
        options |= {"name": info.name, "rgb": True, "metadata": {METADATA: dict(metadata)}}
        return viewer.add_image(array, **options)
    follow(viewer)
    looks = shown.get("channels") or [{}] * info.channels
    group = {GROUP: new_group(), VOLUME: info.name} if info.channels > 1 else {}
    layers = []
    for number, look in enumerate(looks):
        entry = {**metadata, **group, **({CHANNEL: number} if group else {})}
        if "range" in look:
            entry[RANGE] = look["range"]
        own = array[..., number] if info.channels > 1 else array
        layers.append(
            viewer.add_image(
                own,
                name=look.get("name", f"{info.name} [{number}]" if group else info.name),
                contrast_limits=look.get("contrast_limits", shown.get("contrast_limits")),
                metadata={METADATA: entry},
                **{key: look[key] for key in ("colormap", "blending", "visible") if key in look},
                **options,
            )
        )
    return layers[0]


def _appearance(layer: Image) -> dict[str, Any]:
    """Return how a channel looks, as JSON values."""
    look: dict[str, Any] = {
        "name": layer.name,
        "contrast_limits": [float(v) for v in layer.contrast_limits],
        "range": [float(v) for v in layer.contrast_limits_range],
        "blending": str(layer.blending),
        "visible": bool(layer.visible),
    }
    # A colour that a file gives its channel is a colormap of that name, such as "#00ff00".
    if layer.colormap.name in AVAILABLE_COLORMAPS or layer.colormap.name.startswith("#"):
        look["colormap"] = str(layer.colormap.name)
    return look


def further_transforms(layer: Image) -> dict[str, Any]:
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
    """Voxel size along the three axes of a volume layer, whichever transform of it holds it."""
    lengths = np.linalg.norm(_data_to_world(layer), axis=0)
    return tuple(float(length) or 1.0 for length in lengths[-3:])


def level_axes(layer: Image) -> list[int]:
    """Return the axes of a volume layer along which napari shows its slices where they lie.

    In two dimensions napari leaves out what rotates or shears a slice out of its plane. What the
    user draws is not left out of that: it goes to voxels that are not in view.
    """
    matrix = _data_to_world(layer)
    inverse = np.linalg.inv(matrix)
    last = np.array(finest(layer).shape[:3]) - 1
    corners = [np.array(corner) * last for corner in np.ndindex(2, 2, 2)]
    reach = np.abs([layer.data_to_world(corner) for corner in corners]).max(axis=0)
    found = []
    for axis in range(3):
        left_out = np.zeros((3, 3))
        left_out[axis], left_out[:, axis] = inverse[axis], inverse[:, axis]
        left_out[axis, axis] = 0.0
        if (np.abs(left_out) @ reach).max() < _OUT_OF_PLANE:
            found.append(axis)
    return found


def _data_to_world(layer: Image) -> npt.NDArray[np.float64]:
    """Return how napari maps the axes of a layer to those of the world."""
    own = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim)
    return np.asarray(layer.affine.linear_matrix @ own.linear_matrix, dtype=np.float64)


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
