"""The proposals of a session: reading new versions, showing one of them, counting its doubt."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from .background import in_background
from .emptying import Emptying
from .layer_roles import put_below
from .open_counts import OpenCounts
from .proposal_choice import ProposalChoice
from .proposal_layer import OpenCount, ProposalLayer
from .proposal_news import ProposalNews
from .region_view import RegionArray, RegionView
from .tool_in_hand import ToolInHand
from .unread import Corrected, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Image

    from ..volume.inkstore import InkStore
    from ..volume.project import Project
    from ..volume.proposal import Proposal
    from .history import History
    from .reference_layer import ReferenceLayer
    from .spoken import Overlay

#: Milliseconds until it is asked again whether the user still draws.
_STROKE_MS = 100

#: Seconds since the last stroke for which somebody is thought to be painting still.
_PAINTING = 5.0

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
    added = Signal(object)
    """A `ProposalLayer` was made."""
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
        #: Those whose layer the user deleted: their corrections still count.
        self._away: dict[str, ProposalLayer] = {}
        self.unread = Unread(project)
        self.unread.settled.connect(lambda loose: self.changed.emit())
        self.unread.changed.connect(self.changed.emit)
        self.active = ""
        self.regions = RegionView(viewer, image, history)
        self._history = history
        self.open_counts = OpenCounts()
        self.open_counts.counted.connect(self._on_counted)
        self.open_counts.failed.connect(self._fail)
        self.open_counts.stale.connect(self.recount)
        self.news = ProposalNews()
        #: Those shown are empty outside of the object, where the user has said where it lies.
        self.emptying = Emptying(project, references, self.all)
        self.choice = ProposalChoice()
        #: When the round began that new proposals come from, on the monotonic clock.
        self.round_began = float("inf")
        self.closed = False
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Show nothing more."""
        self.closed = True
        self.open_counts.close()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def bring_up(self, slugs: list[str], versions: Mapping[str, int] | None = None) -> None:
        """Read proposals in a thread, then show them.

        Parameters
        ----------
        slugs : list of str
        versions : mapping of str to int, optional
            Which version of each; the newest where nothing is said.
        """
        versions = versions or {}
        for slug in slugs:
            if slug not in self.layers and slug not in self._away:
                self.unread.expect(slug)
                self.choice.expect(slug)
        for slug in slugs:
            in_background(
                partial(self._load, slug, versions.get(slug)),
                lambda loaded, slug=slug: self._show(slug, *loaded),  # type: ignore[misc]
                partial(self._not_read, slug),
            )

    def renew(self) -> None:
        """Show the proposals again, after the user has said where the object lies."""
        for layer in self.layers.values():
            self._check_emptied(layer)

    def activate(self, slug: str, asked: bool = True) -> None:
        """Choose a proposal to show, edit and accept; it is shown as soon as it is there.

        Unless the user has `asked` for it, somebody who paints in References while a round runs
        goes on painting there.
        """
        self.choice.choose(slug)
        if asked and slug in self._away:
            self._bring_back(slug)
        self._bring_into_view(slug, asked)

    def _bring_into_view(self, slug: str, asked: bool = False) -> None:
        """Show a proposal, with its regions, if it still is the one to show.

        Never under a stroke, whose rest would go to the wrong layer.
        """
        vacant = self.active not in self.layers
        if self.closed or slug not in self.layers or not self.choice.takes_the_view(slug, vacant):
            return
        if self._history.drawing:
            QTimer.singleShot(_STROKE_MS, partial(self._bring_into_view, slug, asked))
            return
        self.active, tool = slug, ToolInHand.of(self._viewer.layers)
        for name, proposal in self.layers.items():
            if proposal.layer.visible != (name == slug):  # napari takes the tool away otherwise
                proposal.layer.visible = name == slug
        self.regions.show(self.layers[slug], self._references.ink)
        lately = min(_PAINTING, time.monotonic() - self.round_began)
        if asked or self._history.since_stroke(self._references.layer) > lately:
            self._viewer.layers.selection.active = self.layers[slug].layer
            if tool is not None:
                tool.take_up(self.layers[slug].layer)
        self.recount()
        self.changed.emit()

    def _not_read(self, slug: str, error: Exception) -> None:
        """Go on without a proposal that is damaged; another one may have waited for it."""
        self.choice.arrived(slug)
        for other in sorted(self.layers):
            self._bring_into_view(other)
        self.unread.give_up(slug, self._fail, error)

    def in_view(self) -> ProposalLayer | None:
        """Return the proposal to edit and accept."""
        return self.layers.get(self.active)

    def all(self) -> list[Corrected]:
        """Return what the user may have corrected, in the viewer or not."""
        return [*self.layers.values(), *self.gone()]

    def gone(self) -> list[Corrected]:
        """Return the proposals whose layer the user deleted, and what is left of damaged ones."""
        return [*self._away.values(), *self.unread.loose.values()]

    def counts(self) -> OpenCount | None:
        """Return what is open in the proposal in view, None until it is counted."""
        return self.open_counts.of(self.active, self._project.axis)

    def serials(self) -> tuple[int, ...]:
        """Return numbers that rise with every edit."""
        return tuple(proposal.serial for proposal in self.all())

    def recount(self) -> None:
        """Count the active proposal's regions per slice, and their shares, in a thread."""
        layer = self.in_view()
        if not self.closed and layer is not None:
            self.open_counts.ask(self.active, layer, self._project.axis, self._references.ink)

    def _load(self, slug: str, version: int | None) -> tuple[Proposal, int, Any]:
        version = self._project.proposal_version(slug) if version is None else version
        proposal = self._project.read_proposal(slug, version)
        proposal = self.emptying.take(slug, version, proposal)
        layer = self.layers.get(slug) or self._away.get(slug)
        if layer is not None:
            self.news.count(slug, self._project.axis, layer.proposed, proposal.classes)
            return proposal, version, layer.merge(proposal)
        store = self.unread.store_for(slug)
        return proposal, version, (ProposalLayer.prepare(proposal, store), store)

    def _again(self, layer: ProposalLayer) -> tuple[Proposal, int, Any]:
        proposal = self.emptying.again(layer)
        return proposal, layer.version, layer.merge(proposal)

    def _show(
        self,
        slug: str,
        proposal: Proposal,
        version: int,
        merged: Any,
        tries: int = _MERGE_TRIES,
        again: bool = False,
    ) -> None:
        if self.closed:
            return
        layer = self.layers.get(slug) or self._away.get(slug)
        if layer is None:
            self._add(slug, proposal, version, *merged)
            return
        if version > layer.version or (again and version == layer.version):
            if self._history.drawing:  # a linked layer would lose its stroke with this one
                show = partial(self._show, slug, proposal, version, merged, tries, again)
                QTimer.singleShot(_STROKE_MS, show)
                return
            words, serial = merged
            if serial != layer.serial and tries > 0:
                # The user painted while this was prepared: prepare again, stroke included.
                in_background(
                    lambda: layer.merge(proposal),
                    lambda made: self._show(slug, proposal, version, made, tries - 1, again),
                    self._fail,
                )
                return
            if serial != layer.serial:
                words, _ = layer.merge(proposal)
            layer.replace(proposal, version, words)
            self.emptying.forget(slug, version)
            if slug in self._away:
                self._bring_back(slug)
            self.news.arrived(slug, self._project.axis, self._references.references())
            if slug == self.active:
                self.regions.show(layer, self._references.ink)
        self._check_emptied(layer)
        self.recount()
        self.changed.emit()

    def _check_emptied(self, layer: ProposalLayer) -> None:
        """Show a proposal again if more was said of the object while it was being read."""
        if not self.emptying.up_to_date(layer):
            in_background(
                partial(self._again, layer),
                lambda made: self._show(layer.slug, *made, again=True),
                self._fail,
            )

    def _add(
        self, slug: str, proposal: Proposal, version: int, words: Overlay, store: InkStore
    ) -> None:
        """Add a proposal's layer, and before it, in a turn of its own, that of the regions.

        Adding a layer of a large volume keeps napari busy; the user may be painting.
        """
        if not self.regions.exists:
            selected = self._viewer.layers.selection.active
            arrays = (words.data, proposal.classes, proposal.regions, words.said)
            self.regions.show_array(RegionArray(*arrays, self._references.ink))
            put_below(self._viewer.layers, self.regions.layer, self._references.layer)
            self._viewer.layers.selection.active = selected
            QTimer.singleShot(0, partial(self._add_layer, slug, proposal, version, words, store))
        else:
            self._add_layer(slug, proposal, version, words, store)

    def _add_layer(
        self, slug: str, proposal: Proposal, version: int, words: Overlay, store: InkStore
    ) -> None:
        if self.closed:
            return
        if slug in self.layers:  # a newer version was quicker
            self.bring_up([slug])
            return
        selected = self._viewer.layers.selection.active
        first = (self._viewer, self._image, proposal, version, self._project.classes, store)
        layer = ProposalLayer(*first, words)
        layer.edited.connect(self.edited.emit)
        self._history.follow(layer.layer, layer.touch)
        self._history.accompany(layer.layer, layer.speak)
        self.layers[slug] = layer
        self.unread.arrived(slug, store)
        self.choice.arrived(slug)
        self.added.emit(layer)
        self._place(slug, selected)
        self._check_emptied(layer)
        self.recount()
        self.changed.emit()

    def _bring_back(self, slug: str) -> None:
        """Show a proposal again whose layer the user had deleted."""
        selected = self._viewer.layers.selection.active
        proposal = self.layers[slug] = self._away.pop(slug)
        proposal.set_classes(self._project.classes, proposal.opacity)
        self._viewer.add_layer(proposal.layer)
        self._place(slug, selected)
        self._check_emptied(proposal)

    def _place(self, slug: str, selected: Any) -> None:
        """Put a layer that was just added where it belongs, in view or not."""
        layer = self.layers[slug].layer
        put_below(self._viewer.layers, layer, self._references.layer)  # ink is never hidden
        layer.visible = False
        self._viewer.layers.selection.active = selected  # which may just be painted on
        self._bring_into_view(slug)

    def _on_removed(self, event: Any) -> None:
        """Put a proposal away whose layer the user deleted, until it is wanted again."""
        for slug, proposal in list(self.layers.items()):
            if proposal.layer is event.value:
                self._away[slug] = self.layers.pop(slug)
                self._history.forget(proposal.layer)
                self.changed.emit()
                QTimer.singleShot(0, self._without)  # once napari has selected what lies beside it

    def _without(self) -> None:
        """Have something else to look at and paint on after the user has deleted a proposal."""
        if self.closed or self._references.layer not in self._viewer.layers:
            return
        if self.layers and self.active not in self.layers:
            self.activate(min(self.layers))
        elif not self.layers:
            self.regions.hide()
        self._viewer.layers.selection.active = (self.in_view() or self._references).layer

    def _on_counted(self, slug: str) -> None:
        counts = self.open_counts.of(slug, self._project.axis)
        if counts is not None:
            self.shares_changed.emit(slug, counts.shares)

    def _fail(self, error: Exception) -> None:
        self.trouble.emit(str(error))
