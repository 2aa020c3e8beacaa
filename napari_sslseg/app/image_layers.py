"""The image layers of projects: one for each volume, and none of another volume behind it.

Which layer shows which project is known by the layer itself and not by its metadata, which a copy
that the user makes has as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image

from .channels import channels_of, leaders
from .image_source import finest, further_transforms, show_image, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from napari.components import LayerList, ViewerModel

    from ..volume.project import ImageInfo, Project

#: Folder of the project whose image a layer shows.
_projects: WeakKeyDictionary[Image, Path] = WeakKeyDictionary()

#: Slices in which a layer is at least compared with what a project holds.
_COMPARED = 5

#: Voxels that are compared where they need not be decoded: hundredths of a second.
_COMPARED_VOXELS = 1 << 23


def claim(layers: LayerList, image: Image, path: Path) -> None:
    """Take note that an image is that of a project, and take those of other projects away.

    Parameters
    ----------
    layers : LayerList
    image : Image
        With all its channels.
    path : Path
        Folder of the project, which holds the voxels: an image that is taken away is not lost.
    """
    own = channels_of(layers, image)
    remove(layers, [layer for layer in layers if layer in _projects and layer not in own])
    for layer in own:
        _projects[layer] = path


def bring_into_view(viewer: ViewerModel, array: npt.NDArray[Any], project: Project) -> Image:
    """Show the image of a project, in the layer that shows it already if there is one.

    Else images that the user opened himself are hidden: they lie where another volume lay.

    Returns
    -------
    Image
        Of several channels the first one.
    """
    layers = viewer.layers
    image = _shown_already(layers, array, project)
    if image is not None:
        own = channels_of(layers, image)
        if not any(layer.visible for layer in own):
            image.visible = True
    else:
        for layer in layers:
            if type(layer) is Image and layer not in _projects:
                layer.visible = False
        remove(layers, [layer for layer in layers if layer in _projects])
        image = show_image(viewer, array, project.info)
    claim(layers, image, project.path)
    return image


def remove(layers: LayerList, unwanted: Sequence[Any]) -> None:
    """Take layers out of a viewer together.

    napari clears up after each removal, a fifth of a second that nobody can work in; once is
    enough for several.
    """
    there = [layer for layer in unwanted if layer in layers]
    if there:
        with layers.batched_update():
            for layer in there:
                layers.remove(layer)


def _shown_already(layers: LayerList, array: npt.NDArray[Any], project: Project) -> Image | None:
    """Return the layer that shows the image of a project, made for it or from the same file."""
    for image in leaders(layers):
        path = _projects.get(image)
        source = source_of(image)
        same = path == project.path or (path is None and source == project.info.source != "")
        own = channels_of(layers, image)
        if same and _fits(own, project.info) and _equal(own, array):
            return image
    return None


def _fits(own: Sequence[Image], info: ImageInfo) -> bool:
    """Whether layers lie where a project's image lies, and have its shape."""
    shape = (*info.shape, info.channels) if info.rgb else info.shape
    where = {"scale": info.spacing, "translate": (0.0,) * 3, **info.layer}
    turned = {key: where[key] for key in ("rotate", "shear", "affine") if key in where}
    return len(own) == (1 if info.rgb else info.channels) and all(
        layer.rgb == info.rgb
        and finest(layer).shape[: len(shape)] == tuple(shape)
        and all(np.allclose(getattr(layer, key), where[key]) for key in ("scale", "translate"))
        and further_transforms(layer) == turned
        for layer in own
    )


def _equal(own: Sequence[Image], array: npt.NDArray[Any]) -> bool:
    """Whether layers hold the voxels of an array; the file may have been written anew since."""
    return all(
        alike(finest(layer), array[..., number] if len(own) > 1 else array)
        for number, layer in enumerate(own)
    )


def alike(one: Any, other: Any) -> bool:
    """Whether two images of one shape have the same voxels in some slices from end to end.

    In so many that 8 million voxels are compared, so in all of a small image; in five where they
    are decoded as they are looked at.
    """
    count = _COMPARED
    if isinstance(one, np.ndarray):
        count = max(count, min(len(one), _COMPARED_VOXELS // max(1, one[0].size)))
    return _alike_in(np.linspace(0, len(one) - 1, count).astype(int), one, other)


def alike_throughout(one: Any, other: Any) -> bool:
    """Whether two images of one shape have the same voxels; reads both until they differ."""
    return _alike_in(range(len(one)), one, other)


def _alike_in(slices: Iterable[int], one: Any, other: Any) -> bool:
    return all(_same_voxels(np.asarray(one[z]), np.asarray(other[z])) for z in slices)


def _same_voxels(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    # A voxel without a number is equal to no other, not even to itself.
    gaps = "f" in (one.dtype.kind, other.dtype.kind)
    return bool(np.array_equal(one, other, equal_nan=gaps))
