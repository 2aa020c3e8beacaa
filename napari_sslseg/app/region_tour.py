"""Going from one place of disagreement to the next, the largest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from ..editing.doubt import (
    DISPUTED,
    LEAST_PIXELS,
    DoubtfulPlace,
    DoubtfulPlaces,
    doubtful_places,
)
from .background import in_background
from .region_view import RegionArray

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from ..volume.project import Project
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer

#: Share of a place that must still be open for it to be worth going to.
_STILL_OPEN = 0.3

#: How much larger than a place the view of it is.
_AROUND = 2.0

#: The same for all of the image, which is the most that is shown.
_WHOLE = 1.05

#: Pixels that are shown at least.
_LEAST_VIEW = 48.0


class ZoomedIn:
    """A view into which the user was taken, and the one from before it.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._camera = viewer.scene.camera
        #: Centre and zoom from before, None while the view is the user's own.
        self._before: tuple[tuple[float, ...], float] | None = None
        self._made = 0.0

    def into(self, centre: npt.NDArray[np.float64], zoom: float) -> None:
        """Show a place, coming from the user's own view."""
        self._before = (tuple(self._camera.center), float(self._camera.zoom))
        self._camera.center = tuple(centre)
        self._camera.zoom = zoom
        self._made = float(self._camera.zoom)

    def restore(self) -> None:
        """Go back to the view from before, unless the user has zoomed since."""
        if self._before is not None and np.isclose(self._camera.zoom, self._made):
            self._camera.center, self._camera.zoom = self._before
        self._before = None


class RegionTour:
    """The disputed places of the proposal in view, and which of them were looked at.

    Places are looked for in a thread, once for each version of a proposal and slicing axis.
    Those that were corrected or accepted since are passed over.

    Parameters
    ----------
    viewer : ViewerModel
    project : Project
    references : ReferenceLayer
    shelf : ProposalShelf
    go_to : callable
        Shows a slice, and leaves the tour's last view for that from before it.
    """

    said = Signal(str)
    """One sentence: where the tour is."""
    arrived = Signal(tuple)
    """A voxel of the place that is shown."""

    def __init__(
        self,
        viewer: ViewerModel,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
        go_to: Callable[[int], None],
    ) -> None:
        self._viewer, self._project = viewer, project
        self._references, self._shelf, self._go_to = references, shelf, go_to
        self._key: tuple[str, int, int] | None = None
        self._places = DoubtfulPlaces([], False, False)
        self._visited: list[int] = []
        self._at = -1
        self._looking = False
        #: Whether the places were looked for just now.
        self._fresh = False
        self._zoom = ZoomedIn(viewer)

    def leave(self) -> None:
        """Show as much as before the tour, unless the user has zoomed since: the tour is left."""
        self._zoom.restore()

    def next(self) -> None:
        """Go to the largest place that was not looked at yet; after going back, forward again."""
        self._with_places(self._forward)

    def previous(self) -> None:
        """Go back to the place before."""
        self._with_places(self._back)

    # -- inside ---------------------------------------------------------------------------

    def _forward(self) -> None:
        if self._at + 1 < len(self._visited):
            self._show(self._at + 1)
            return
        seen = set(self._visited)
        for number, place in enumerate(self._places.listed):
            if number not in seen and self._open_share(place) >= _STILL_OPEN:
                self._visited.append(number)
                self._show(len(self._visited) - 1)
                return
        if not self._visited and not self._fresh:
            # All that were listed are settled: there may be others that were not.
            self._key = None
            self._with_places(self._forward)
            return
        self.said.emit(self._over() if self._visited else self._nowhere())
        # The tour begins anew with what is open then.
        self._key, self._visited, self._at = None, [], -1

    def _over(self) -> str:
        """Say at the end of the tour what was seen."""
        if self._places.more:
            count = len(self._places.listed)
            return (
                f"You have seen the {count} largest places where the predictions disagree. There "
                "are smaller ones; correct or accept these, and they come next."
            )
        size = f" of {LEAST_PIXELS} pixels or more" if self._places.specks else ""
        return f"You have seen every place{size} where the predictions disagree."

    def _nowhere(self) -> str:
        if self._places.specks:
            return (
                "In open slices the predictions disagree only on specks of fewer than "
                f"{LEAST_PIXELS} pixels."
            )
        return "The predictions disagree nowhere in open slices."

    def _back(self) -> None:
        if self._at > 0:
            self._show(self._at - 1)
        else:
            self.said.emit("This is where the tour began.")

    def _show(self, at: int) -> None:
        self._at = at
        number = self._visited[at]
        place = self._places.listed[number]
        self._go_to(place.index)
        self._centre(place)
        self.arrived.emit(
            tuple(int(i) for i in np.insert(place.seed, self._project.axis, place.index))
        )
        proposal = self._shelf.in_view()
        assert proposal is not None
        class_id = int(
            np.moveaxis(proposal.layer.data, self._project.axis, 0)[place.index][place.seed]
        )
        name = self._project.classes.name(class_id)
        self.said.emit(
            f"Slice {place.index}, place {number + 1} of {len(self._places.listed)}: the "
            f"predictions disagree on {place.pixels} pixels, proposed as {name}."
        )

    def _centre(self, place: DoubtfulPlace) -> None:
        """Put a place into the middle of the canvas, with some of what is around it."""
        axis, layer = self._project.axis, self._references.layer
        top, bottom, left, right = place.box
        corners = [
            np.insert(np.array(c, float), axis, place.index)
            for c in ((top - 0.5, left - 0.5), (bottom - 0.5, right - 0.5))
        ]
        world = np.array([layer.data_to_world(c) for c in corners])
        shown = list(self._viewer.dims.displayed)
        low, high = world.min(axis=0)[shown], world.max(axis=0)[shown]
        camera = self._viewer.scene.camera
        centre = np.array(camera.center, dtype=float)
        centre[-len(shown) :] = (low + high) / 2
        size = float(np.min([abs(s) for s in layer.scale]))
        view = np.maximum(_AROUND * (high - low), _LEAST_VIEW * size)
        whole = np.array(layer.extent.world)[:, shown]
        view = np.minimum(view, _WHOLE * (whole[1] - whole[0]))
        canvas = np.array(self._viewer.canvas.size, dtype=float)
        self._zoom.into(centre, float((canvas / view[-2:]).min()))

    def _open_share(self, place: DoubtfulPlace) -> float:
        """Share of a place in which the predictions still disagree with nobody's word."""
        regions = self._regions()
        if regions is None:
            return 0.0
        top, bottom, left, right = place.box
        key: list[slice | int] = [slice(top, bottom), slice(left, right)]
        key.insert(self._project.axis, place.index)
        return float(np.isin(regions[tuple(key)], DISPUTED).sum()) / place.pixels

    def _regions(self) -> RegionArray | None:
        proposal = self._shelf.in_view()
        return None if proposal is None else proposal.open_regions(self._references.ink)

    def _with_places(self, then: Callable[[], None]) -> None:
        proposal = self._shelf.in_view()
        if proposal is None or self._looking:
            return
        axis = self._project.axis
        key = (proposal.slug, proposal.version, axis)
        if key == self._key:
            then()
            return
        self._looking = True
        regions = proposal.open_regions(self._references.ink)
        before = (slice(None),) * axis

        def work() -> DoubtfulPlaces:
            return doubtful_places(lambda z: regions[(*before, z)], regions.shape[axis])

        def done(places: DoubtfulPlaces) -> None:
            self._looking = False
            if not self._shelf.closed and self._is_current(key, proposal):
                self._key, self._places, self._visited, self._at = key, places, [], -1
                self._fresh = True
                then()
                self._fresh = False

        def failed(error: Exception) -> None:
            self._looking = False
            self.said.emit(str(error))

        in_background(work, done, failed)

    def _is_current(self, key: tuple[str, int, int], proposal: ProposalLayer) -> bool:
        return key == (self._shelf.active, proposal.version, self._project.axis)
