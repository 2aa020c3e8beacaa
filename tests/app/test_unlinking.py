"""Layers of a session that the user links: each keeps its own tools and its history."""

from __future__ import annotations

import numpy as np
import pytest
from napari.experimental import link_layers

from napari_sslseg.app.layer_roles import forget_history
from napari_sslseg.volume.annotation import NOT_ANNOTATED

pytestmark = pytest.mark.usefixtures("without_window")

MASK = np.zeros((40, 44), bool)
MASK[3:8, 3:8] = True


def test_linked_layers_are_unlinked_and_that_is_said(with_proposal):
    viewer, panel = with_proposal
    session = panel.session
    told = []
    session.trouble.connect(told.append)
    viewer.layers.link_layers([viewer.layers["References"], viewer.layers["SemSim"]])
    assert len(told) == 1
    assert "cannot be linked" in told[0]
    session.choose_class(NOT_ANNOTATED)
    assert viewer.layers["References"].selected_label == NOT_ANNOTATED
    viewer.layers.selection.active = viewer.layers["cone"]
    assert len(told) == 1


def test_layers_of_the_user_stay_linked(with_proposal):
    viewer, _ = with_proposal
    other = viewer.add_image(np.zeros((12, 40, 44)))
    viewer.layers.link_layers([viewer.layers["cone"], other, viewer.layers["References"]])
    other.opacity = 0.3
    assert viewer.layers["cone"].opacity == 0.3
    assert viewer.layers["References"].opacity != 0.3
    viewer.layers.remove(other)


def test_a_history_that_is_forgotten_takes_no_other_one_with_it(with_proposal, paint):
    viewer, panel = with_proposal
    ink, proposal = viewer.layers["References"], viewer.layers["SemSim"]
    link_layers([ink, proposal])
    paint(ink, 4, MASK, 1)
    forget_history(proposal)
    panel.session.history.undo()
    assert (ink.data[4] == NOT_ANNOTATED).all()
