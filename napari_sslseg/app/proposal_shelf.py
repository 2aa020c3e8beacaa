"""The proposals of a session: reading new versions, showing one of them, counting its doubt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from ..acquisition.evidence import Evidence
from ..acquisition.registry import create
from ..acquisition.suggestion import Suggestion
from ..editing.agreement import differing
from .background import in_background
from .orientation_letters import slice_ends
from .proposal_layer import OpenCount, ProposalLayer
from .region_view import RegionArray, RegionView

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

    from ..volume.project import Project
    from ..volume.proposal import Proposal
    from .history import History, Step
    from .reference_layer import ReferenceLayer

#: Times that a new proposal is merged afresh because the user went on painting meanwhile.
_MERGE_TRIES = 5


class ProposalShelf:
    """All proposals of a project, one of them in view.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Where the layers lie.
    project : Project
    references : ReferenceLayer
        Kept above all proposals; its ink has no regions.
    history : History
        Where the proposals' steps go.
    """

    changed = Signal()
    """A proposal came, went, or another one is in view."""
    edited = Signal()
    """The user has edited a proposal."""
    shares_changed = Signal(str, dict)
    trouble = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        project: Project,
        references: ReferenceLayer,
        history: History,
    ) -> None:
        self._viewer, self._image, self._project = viewer, image, project
        self._references = references
        self.layers: dict[str, ProposalLayer] = {}
        self.active = ""
        self.regions = RegionView(viewer, image, history)
        self._history = history
        self._counts: dict[str, OpenCount] = {}
        #: Voxels of each slice that the newest version changed, by slug: (axis, counts).
        self._news: dict[str, tuple[int, npt.NDArray[np.int64]]] = {}
        self.news: dict[str, tuple[int, npt.NDArray[np.int64]]] = {}
        self._counting = self._count_again = False
        self._wanted = ""
        self.closed = False
        viewer.layers.events.removed.connect(self._on_removed)
        history.moved.connect(self._on_moved)

    def close(self) -> None:
        """Show nothing more."""
        self.closed = True
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def bring_up(self, slugs: list[str]) -> None:
        """Read the newest versions in a thread, then show them."""
        for slug in slugs:
            in_background(
                partial(self._load, slug),
                lambda loaded, slug=slug: self._show(slug, *loaded),  # type: ignore[misc]
                self._fail,
            )

    def activate(self, slug: str) -> None:
        """Show one proposal, with its regions, to edit and accept; as soon as it is there."""
        self._wanted = slug
        if slug not in self.layers:
            return
        self.active = slug
        for name, proposal in self.layers.items():
            proposal.layer.visible = name == slug
        self.regions.show(self.layers[slug], self._references.ink)
        if self.regions.layer is not None:
            self._below_references(self.regions.layer)
        self._viewer.layers.selection.active = self.layers[slug].layer
        self.recount()
        self.changed.emit()

    def in_view(self) -> ProposalLayer | None:
        """Return the proposal to edit and accept."""
        return self.layers.get(self.active)

    def suggest(self) -> Suggestion | None:
        """Return the slice whose correction would help most; None while nothing is counted."""
        evidence = self.evidence()
        found = create().rank(evidence) if evidence is not None else []
        return found[0] if found else None

    def evidence(self) -> Evidence | None:
        """Return what the proposal in view tells of each slice; None while nothing is counted."""
        counts = self.counts()
        if counts is None:
            return None
        return Evidence(
            counts.regions,
            tuple(self._references.references()),
            counts.doubt,
            counts.areas,
            current=self._references.current_slice(),
            ends=slice_ends(self._image, counts.axis),
        )

    def counts(self) -> OpenCount | None:
        """Return what is open in the proposal in view, None until it is counted."""
        counts = self._counts.get(self.active)
        return counts if counts is not None and counts.axis == self._project.axis else None

    def save(self) -> int:
        """Save what the user changed in each proposal; for the autosave thread."""
        return sum(p.store.save(p.corrections()) for p in list(self.layers.values()))

    def serials(self) -> tuple[int, ...]:
        """Return numbers that rise with every edit."""
        return tuple(proposal.serial for proposal in list(self.layers.values()))

    def recount(self) -> None:
        """Count the active proposal's regions per slice, and their shares, in a thread."""
        layer = self.in_view()
        if self.closed or layer is None:
            return
        if self._counting:  # one at a time: the processor is the trainer's and the viewer's too
            self._count_again = True
            return
        self._counting = True
        slug, axis, ink = self.active, self._project.axis, self._references.ink

        def over() -> None:
            self._counting = False
            if self._count_again:
                self._count_again = False
                self.recount()

        def done(result: OpenCount) -> None:
            if not self.closed:
                self._counts[slug] = result
                self.shares_changed.emit(slug, result.shares)
                over()

        def failed(error: Exception) -> None:
            self._fail(error)
            over()

        in_background(lambda: layer.count_open(axis, ink), done, failed)

    def _load(self, slug: str) -> tuple[Proposal, int, Any]:
        version = self._project.proposal_version(slug)
        proposal = self._project.read_proposal(slug)
        layer = self.layers.get(slug)
        if layer is not None:
            axis = self._project.axis
            self._news[slug] = (axis, differing(layer.proposed, proposal.classes, axis))
            return proposal, version, layer.merge(proposal)
        store = self._project.correction_store(slug)
        return proposal, version, (*ProposalLayer.prepare(proposal, store), store)

    def _show(
        self, slug: str, proposal: Proposal, version: int, merged: Any, tries: int = _MERGE_TRIES
    ) -> None:
        if self.closed:
            return
        layer = self.layers.get(slug)
        if layer is None:
            self._add(slug, proposal, version, *merged[-3:])
            return
        if version > layer.version:
            data, kept, serial = merged
            if (serial != layer.serial or layer.stroking) and tries > 0:
                # The user painted while this was prepared: prepare again, stroke included.
                in_background(
                    lambda: layer.merge(proposal),
                    lambda again: self._show(slug, proposal, version, again, tries - 1),
                    self._fail,
                )
                return
            if serial != layer.serial:
                data, kept, _ = layer.merge(proposal)
            layer.replace(proposal, version, data, kept)
            axis, counts = self._news.pop(slug, (0, None))
            if counts is not None and axis == self._project.axis:
                counts[self._references.references()] = 0  # what the user said is no news
            # Later in a round a version may come with new regions for the same classes.
            if counts is not None and counts.any():
                self.news[slug] = (axis, counts)
            if slug == self.active:
                self.regions.show(layer, self._references.ink)
        self.recount()
        self.changed.emit()

    def _add(
        self, slug: str, proposal: Proposal, version: int, data: Any, kept: Any, store: Any
    ) -> None:
        """Add a proposal's layer, and before it, in a turn of its own, that of the regions.

        Adding a layer of a large volume keeps napari busy; the user may be painting.
        """
        if not self.regions.exists:
            selected = self._viewer.layers.selection.active
            ink = self._references.ink
            self.regions.show_array(
                RegionArray(data, proposal.classes, proposal.regions, kept, ink)
            )
            self._viewer.layers.selection.active = selected
            QTimer.singleShot(
                0, partial(self._add_layer, slug, proposal, version, data, kept, store)
            )
        else:
            self._add_layer(slug, proposal, version, data, kept, store)

    def _add_layer(
        self, slug: str, proposal: Proposal, version: int, data: Any, kept: Any, store: Any
    ) -> None:
        if self.closed:
            return
        if slug in self.layers:  # a newer version was quicker
            self.bring_up([slug])
            return
        selected = self._viewer.layers.selection.active
        layer = ProposalLayer(
            self._viewer, self._image, proposal, version, self._project.classes, store, data, kept
        )
        layer.edited.connect(self.edited.emit)
        self._history.follow(layer.layer)
        self.layers[slug] = layer
        self._below_references(layer.layer)
        if self.active not in self.layers or slug == self._wanted:
            self.activate(slug)
        else:
            # Adding a layer selects it; the user may be painting on another one.
            layer.layer.visible = False
            self._viewer.layers.selection.active = selected
        self.recount()
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        """Forget a proposal whose layer the user deleted; its corrections stay on disk."""
        for slug, proposal in list(self.layers.items()):
            if proposal.layer is event.value:
                proposal.store.save(proposal.corrections())
                del self.layers[slug]
                self._history.forget(proposal.layer)
                if slug == self.active and self.layers:
                    self.activate(sorted(self.layers)[0])
                self.changed.emit()

    def _on_moved(self, step: Step, again: bool) -> None:
        """Take note of an undo, of which a hidden layer says nothing."""
        for proposal in self.layers.values():
            if proposal.layer is step.layer:
                proposal.touch()

    def _below_references(self, layer: Any) -> None:
        """Put a layer just below References: ink is never hidden, regions lie on their proposal."""
        layers = self._viewer.layers
        if self._references.layer in layers:
            top = layers.index(self._references.layer)
            here = layers.index(layer)
            if here != top - 1:
                layers.move(here, top)

    def _fail(self, error: Exception) -> None:
        self.trouble.emit(str(error))
