"""Edits of a labels layer, told from mere slicing.

napari emits ``set_data`` for both: when voxels were changed in place and the layer refreshed, and
whenever another slice, or a hidden layer, comes into view, or outlines are drawn instead of areas.
To take that for an edit would count, save and colour everything anew with each step of the slider
and each look at the image alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels


def follow_edits(
    viewer: ViewerModel, layer: Labels, edited: Callable[[], object]
) -> Callable[[], None]:
    """Call back after voxels of a layer may have changed.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Labels
        In this viewer.
    edited : callable
        Called after strokes, and when the layer was refreshed without another slice or the layer
        itself coming into view, or being drawn otherwise. What changes in a hidden layer must be
        said by who changes it.

    Returns
    -------
    callable
        Draws the layer anew, which is no edit.
    """

    def view() -> tuple[Any, ...]:
        dims = viewer.dims
        return (dims.ndisplay, dims.order, *(dims.point[axis] for axis in dims.not_displayed))

    seen: tuple[Any, ...] | None = view() if layer.visible else None

    def on_data(event: Any = None) -> None:
        nonlocal seen
        now = view()
        if now == seen:
            edited()
        seen = now

    def on_visible(event: Any = None) -> None:
        nonlocal seen
        if not layer.visible:
            seen = None

    def on_contour(event: Any = None) -> None:
        nonlocal seen
        seen = None  # napari refreshes next, to draw the same voxels otherwise

    def redraw() -> None:
        on_contour()
        layer.refresh(thumbnail=False, extent=False)

    layer.events.paint.connect(lambda event: edited())
    layer.events.set_data.connect(on_data)
    layer.events.visible.connect(on_visible)
    layer.events.contour.connect(on_contour)
    return redraw
