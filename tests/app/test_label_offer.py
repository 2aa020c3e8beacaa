"""Labels that are dropped while a volume is labelled become what the user says."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Layer
from napari.utils.notifications import notification_manager

from napari_sslseg.app.label_offer import LabelOffer
from napari_sslseg.app.readers import holds_labels, read_layers

from .conftest import SHAPE, make_volume
from .label_files import save

pytestmark = pytest.mark.usefixtures("without_window")

CORNER = np.zeros(SHAPE[1:], bool)
CORNER[:4, :4] = True


@pytest.fixture
def offered(started, paint, until, tmp_path):
    """Drop a file of labels on a session with some ink; give the panel and the question."""
    viewer, panel = started
    paint(panel.session.references.layer, 5, CORNER, 1)
    path = save(tmp_path / "gt.nii.gz", panel.truth)
    panel.volume.close_step()
    panel.volume.take(path, lambda: viewer.add_layer(Layer.create(*read_layers([path])[0])))
    until(lambda: bool(panel.findChildren(LabelOffer)))
    return panel, panel.findChildren(LabelOffer)[0]


def test_labels_become_ink_only_where_nothing_is_painted(offered, until):
    panel, question = offered
    assert "gt.nii.gz" in question.text()
    before = panel.session.references.ink.copy()
    question.references.click()
    until(lambda: "References now" in panel.volume.label_import.hint.text())
    ink = panel.session.references.ink
    assert np.array_equal(ink[5], np.where(CORNER, 1, panel.truth[5]))
    assert "References now" in panel.references.hint.text()
    panel.session.history.undo()
    assert np.array_equal(ink, before)


def test_labels_become_a_proposal(offered, until):
    panel, question = offered
    before = panel.session.references.ink.copy()
    question.proposal.click()
    until(lambda: "imported" in panel.session.proposals)
    assert np.array_equal(panel.session.references.ink, before)


@pytest.mark.parametrize("shown", [True, False])
def test_nothing_changes_unless_it_is_wished(offered, until, shown):
    panel, question = offered
    layers, ink = panel.viewer.layers, panel.session.references
    before = ink.ink.copy()
    told = len(notification_manager.records)
    (question.shown if shown else question.button(question.StandardButton.Cancel)).click()
    until(lambda: ("gt" in layers) == shown)
    assert np.array_equal(ink.ink, before)
    assert layers.selection.active is ink.layer, "the brush paints where it did"
    said = " ".join(record.message for record in notification_manager.records[told:])
    assert ("Import labels" in said) == shown


def test_an_image_is_shown_without_a_question(started, until, tmp_path):
    _, panel = started
    image = make_volume()[0]
    path, shown = save(tmp_path / "t1.nii.gz", image), []
    assert not holds_labels(path)
    assert holds_labels(save(tmp_path / "result.nrrd", make_volume()[1])), "whatever it is called"
    panel.volume.take(path, lambda: shown.append(path))
    until(lambda: bool(shown))
    assert not panel.findChildren(LabelOffer)
