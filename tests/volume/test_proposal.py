"""Proposals and the shares of their regions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.methods.regions import Region as Judged
from napari_sslseg.volume.proposal import (
    REGION_MEANINGS,
    Proposal,
    Region,
    object_neighbourhood,
    proposal_slug,
    region_shares,
)


def test_slug():
    assert proposal_slug("Reference-guided") == "reference-guided"
    assert proposal_slug(" My  Proposal! 2 ") == "my-proposal-2"


def test_regions_are_stored_as_they_are_judged():
    assert {r.name: int(r) for r in Region} == {r.name: int(r) for r in Judged}
    assert list(Region) == list(REGION_MEANINGS)


def test_arrays_must_fit_together():
    one = np.zeros((2, 3, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        Proposal("x", one, one, one[:1])
    with pytest.raises(ValueError, match="8-bit"):
        Proposal("x", one.astype(int), one, one)


def test_neighbourhood_grows_by_the_margin_and_stops_at_the_edge():
    classes = np.zeros((9, 9), dtype=np.uint8)
    classes[0, 4] = 1
    near = object_neighbourhood(classes)
    assert near.sum() == 4 * 7
    assert near[:4, 1:8].all()


def test_shares_ignore_far_background_and_inked_voxels():
    classes = np.zeros((1, 20), dtype=np.uint8)
    classes[0, :4] = 1
    regions = np.ones((1, 20), dtype=np.uint8)
    regions[0, 0] = 0  # inked
    regions[0, 1:3] = 4
    shares = region_shares(regions, classes)
    assert shares == pytest.approx({"UC": 4 / 6, "US": 0, "DC": 0, "DS": 2 / 6})


def test_nothing_judged_gives_zero_shares():
    zero = np.zeros((3, 3), dtype=np.uint8)
    assert sum(region_shares(zero, zero).values()) == 0
