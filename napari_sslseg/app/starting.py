"""The first volume of a new project: from an image layer, with ink that is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from ..volume.classes import ClassTable
from .background import in_background
from .class_editing import PLACEHOLDER
from .first_labels import prepare_labels
from .image_source import (
    ImageError,
    adopt_ink,
    finest,
    level_axes,
    make_project,
    new_project_path,
    read_layer,
    suitable,
)
from .ink_colors import color_new, shown_colors
from .layer_roles import METADATA, REFERENCES
from .slice_index import SliceIndex, index_slices

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Image, Labels

    from ..volume.project import Project

#: The axes as the panel lists them.
_ENTRIES = ("first", "second", "third")

#: Milliseconds until it is asked again whether a stroke has ended.
_LOOK_AGAIN_MS = 60


def adoptable(layers: Iterable[Any], image: Image) -> Labels | None:
    """Return a layer of ink that is there already, for instance from the sample."""
    shape = finest(image).shape
    for layer in layers:
        named = layer.name == REFERENCES and type(layer).__name__ == "Labels"
        if named and tuple(layer.data.shape) == tuple(shape[:3]):
            found: Labels = layer
            return found
    return None


def make_first_project(
    image: Image, channels: Sequence[Image], axis: int, adopted: Labels | None
) -> tuple[Project, npt.NDArray[np.uint8], SliceIndex]:
    """Make a project for an image; takes time, so use a thread.

    Parameters
    ----------
    image : Image
    channels : sequence of Image
        All channels of the volume, where there are several.
    axis : int
        Slicing axis.
    adopted : Labels or None
        Ink to begin with.

    Raises
    ------
    ImageError
        When the image cannot be segmented, or not along that axis.
    """
    level = [axis] if suitable(image) else level_axes(image)  # what does not suit is told of next
    if axis not in level:
        raise ImageError(
            f"“{image.name}” is rotated or sheared out of its slices along this axis; choose the "
            f"{_ENTRIES[level[0]]} entry under “Slices”."
        )
    array, info = read_layer(image, channels)
    ink = None if adopted is None else adopt_ink(adopted)
    table = ClassTable.from_ids(np.unique(ink)) if ink is not None else ClassTable()
    if adopted is not None:
        for row in adopted.metadata.get(METADATA, {}).get("classes", []):
            table.rename(int(row["id"]), str(row["name"]))
    if not len(table):
        table.add(PLACEHOLDER)
    color_new(table, table.ids, shown_colors(channels, image))
    made = make_project(new_project_path(info.name), array, info, table, axis, ink)
    return *made, index_slices(made[1], axis)


def start_first_project(
    image: Image,
    channels: Sequence[Image],
    axis: int,
    adopted: Labels | None,
    done: Callable[[tuple[Project, npt.NDArray[np.uint8], SliceIndex]], object],
    failed: Callable[[Exception], object],
) -> None:
    """Make a project for an image in a thread, with all that is painted until it is there.

    Parameters
    ----------
    image, channels, axis, adopted
        As for `make_first_project`.
    done : callable
        Given the project, its ink and the index of that, at a moment when no stroke is being drawn;
        the adopted layer holds nothing else then.
    failed : callable
        Given the error.
    """
    painting = None if adopted is None else _Painting(adopted)

    def made(found: tuple[Project, npt.NDArray[np.uint8], SliceIndex]) -> None:
        if painting is None:
            done(found)
        elif painting.under_way:
            QTimer.singleShot(_LOOK_AGAIN_MS, lambda: made(found))
        elif painting.take_edited():
            # What was painted while it was read is to come along: read it again.
            project = found[0]
            in_background(lambda: _adopt_again(project, painting.layer), made, stopped)
        else:
            painting.stop()
            done(found)

    def stopped(error: Exception) -> None:
        if painting is not None:
            painting.stop()
        failed(error)

    colouring = prepare_labels()

    def make() -> tuple[Project, npt.NDArray[np.uint8], SliceIndex]:
        found = make_first_project(image, channels, axis, adopted)
        colouring.join()  # or the window would wait for it, at the first layer of labels
        return found

    in_background(make, made, stopped)


def _adopt_again(
    project: Project, layer: Labels
) -> tuple[Project, npt.NDArray[np.uint8], SliceIndex]:
    ink = adopt_ink(layer)
    project.ink_store.save(ink)
    return project, ink, index_slices(ink, project.axis)


class _Painting:
    """Whether a layer is being painted on, from the moment on that this is made."""

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self.under_way = self._edited = False
        # Slicing is among these, and only costs another look.
        self._events = (layer.events.paint, layer.events.set_data, layer.events.labels_update)
        for event in self._events:
            event.connect(self._on_edit)
        layer.mouse_drag_callbacks.append(self._watch)

    def take_edited(self) -> bool:
        """Return whether it was painted on since this was last asked."""
        edited, self._edited = self._edited, False
        return edited

    def stop(self) -> None:
        """Listen no more."""
        for event in self._events:
            event.disconnect(self._on_edit)
        if self._watch in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._watch)

    def _on_edit(self, event: Any = None) -> None:
        self._edited = True

    def _watch(self, layer: Labels, event: Any) -> Iterator[None]:
        self.under_way = self._edited = True
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self.under_way = False
