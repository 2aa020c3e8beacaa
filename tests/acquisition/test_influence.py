"""How far a slice that is labelled mends the others."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.influence import influence


def test_influence_ends_at_known_slices_and_fades_with_distance():
    share = influence(21, [0, 8, 20])
    assert share[4, 4] == 1
    assert not share[4, 8:].any()
    assert not share[8].any()
    assert not share[:, 8].any()
    assert (np.diff(share[14, 14:20]) < 0).all()
    assert (np.diff(share[14, 9:15]) > 0).all()
    assert ((share >= 0) & (share <= 1)).all()
    # In the middle of a gap a slice mends more than beside a known one.
    assert share[14].sum() > share[9].sum()


def test_known_slices_neither_mend_nor_are_mended():
    share = influence(6, [2, 5])
    assert not share[[2, 5]].any()
    assert not share[:, [2, 5]].any()
    assert (np.diag(share)[[0, 1, 3, 4]] == 1).all()


def test_influence_reaches_to_an_open_end():
    share = influence(10, [2])
    assert share[6, 9] > 0
    assert share[6, 4] > 0
    assert not share[6, :2].any()
    assert influence(5, []).all()


def test_influence_by_hand():
    # At 1 of 0 .. 4 the reach is 3/4; with 2 known too it is 1/2, and errors grow with its cube.
    assert influence(5, [0, 4])[2, 1] == pytest.approx(1 - (2 / 3) ** 3)
    # With nothing known, the reach was the whole depth.
    assert influence(4, [])[0, 2] == pytest.approx(1 - (2 / 4) ** 3)
