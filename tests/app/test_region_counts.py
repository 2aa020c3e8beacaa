"""Regions are counted where neither corrected nor inked, along every axis."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.evidence import count_regions
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.proposal import region_shares

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_counts_leave_out_corrections_and_ink(with_proposal, paint, axis):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    mask = np.zeros((40, 44), bool)
    mask[18:22, 18:22] = True
    paint(proposal.layer, 4, mask, 0)
    paint(session.references.layer, 8, mask, 1)
    stands = (session.references.ink == NOT_ANNOTATED) & (proposal.layer.data == proposal.proposed)
    assert not stands.all()
    regions = np.where(stands, proposal.regions, 0).astype(np.uint8)
    found = proposal.count_open(axis, session.references.ink)
    assert np.array_equal(found.regions, count_regions(regions, axis))
    assert found.shares == pytest.approx(region_shares(regions, proposal.proposed))
    changed = proposal.layer.data != proposal.proposed
    other = tuple(i for i in range(3) if i != axis)
    assert np.array_equal(found.corrected, changed.sum(axis=other))
    assert found.corrected.sum() == 16
