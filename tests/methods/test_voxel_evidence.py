"""Evidence of proposed voxels, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.voxel_evidence import EVIDENCE, REACH, Predictions, evidence

from .squares import square_volume


def test_each_open_slice_gets_its_evidence_near_the_object_only():
    known = square_volume()
    found = list(evidence(known))
    assert [z for z, *_ in found] == [1, 2, 3, 4, 5]
    for _, near, rows, _ in found:
        assert rows.shape == (int(near.sum()), len(EVIDENCE["matching"]))
        assert torch.isfinite(rows).all()
        expected = torch.zeros_like(near)
        expected[16 - REACH : 32 + REACH, 16 - REACH : 32 + REACH] = True
        assert torch.equal(near, expected)


def test_what_was_inked_is_judged_where_nothing_is_proposed():
    known = square_volume()
    known.proposed = known.proposed.clone()
    known.proposed[3] = torch.tensor([1.0, 0.0])[:, None, None]
    near = {z: pixels for z, pixels, *_ in evidence(known)}[3]
    assert torch.equal(near, known.proposed[2].max(0).indices > 0)


def test_a_network_adds_its_columns():
    known = square_volume()
    known.network = known.proposed.flip(1)  # contradicts everywhere
    _, _, rows, _ = next(evidence(known))
    assert rows.shape[1] == len(EVIDENCE["network"])
    columns = dict(zip(EVIDENCE["network"], rows.T, strict=True))
    assert (columns["agree"] == 0).all()
    assert (columns["network"] < 0).all()
    assert (columns["network_certainty"] > 0).all()


def test_the_columns_say_what_they_are_called():
    known = square_volume()
    _, near, rows, _ = next(evidence(known))
    columns = dict(zip(EVIDENCE["matching"], rows.T, strict=True))
    place = near.nonzero().tolist().index
    centre, edge, outside = place([24, 24]), place([16, 24]), place([12, 24])
    assert columns["border"][edge] == 0 < columns["border"][centre]
    assert columns["foreground"][[centre, edge, outside]].tolist() == [1, 1, 0]
    assert columns["nearer_shape"][centre] > columns["nearer_shape"][edge] > 0
    assert columns["nearer_shape"][outside] > 0  # background there as well
    assert columns["smooth_5_5_5"][centre] > columns["smooth_5_5_5"][edge]
    assert (columns["between_inked"] == 1).all()
    assert (columns["shapes_alike"] == 1).all()


def test_each_column_by_hand_at_one_pixel():
    known = square_volume(0.9, depth=9)
    known.matched = known.matched.clone()
    known.matched[-1, :, 16:24, 16:32] = torch.tensor([1.0, 0.0])[:, None, None]  # half of it ends
    known.proposed = known.proposed.clone()
    known.proposed[5] = known.proposed[5].flip(0)
    judged = list(evidence(known))
    z, near, rows, _ = judged[2]
    assert z == 3
    at = near.nonzero().tolist().index([18, 24])
    found = dict(zip(EVIDENCE["matching"], rows[at].tolist(), strict=True))

    def log_odds(p):
        return math.log((p + 2e-3) / (1 - p + 2e-3))

    assert found["proposed"] == pytest.approx(log_odds(0.9), abs=1e-4)
    # 5 x 5 pixels: all inside, in four slices of five.
    # 9 x 9 pixels: 7 rows of 9 are inside (0.9), 2 are not (0.1).
    assert found["smooth_5_5_5"] == pytest.approx(log_odds((4 * 0.9 + 0.1) / 5), abs=1e-4)
    assert found["smooth_3_9_9"] == pytest.approx(log_odds((7 * 0.9 + 2 * 0.1) / 9), abs=1e-4)
    assert found["border"] == 2  # to row 16, which changes as row 15 does
    assert found["nearer_shape"] == 3  # slice 0: to row 15
    assert found["other_shape"] == -6  # slice 8: to row 24
    assert found["slices_away"] == pytest.approx(math.log1p(3))
    for _, _, values, _ in judged:  # whichever of the two ends is the nearer one
        assert (values[:, EVIDENCE["matching"].index("shapes_alike")] == 0.5).all()
    outside = near.nonzero().tolist().index([14, 24])
    below = dict(zip(EVIDENCE["matching"], rows[outside].tolist(), strict=True))
    assert below["border"] == 1  # row 15 is a border as row 16 is


def test_the_surroundings_of_the_edge_of_the_image_are_what_there_is():
    known = square_volume(0.9)
    known.proposed = known.proposed.clone()
    known.proposed[:, :, :16, :16] = known.proposed[3, :, 24, 24][:, None, None]
    _, near, rows, _ = list(evidence(known))[2]
    columns = dict(zip(EVIDENCE["matching"], rows.T, strict=True))
    at = near.nonzero().tolist().index([0, 0])
    assert columns["smooth_5_5_5"][at] == pytest.approx(columns["proposed"][at].item(), abs=1e-4)


def tapering_volume() -> Predictions:
    """Return squares of side 8 and 16 on slices 2 and 4, which are inked, and of 8 elsewhere."""
    labels = torch.zeros(8, 48, 48, dtype=torch.int64)
    labels[:, 16:24, 16:24] = 1
    labels[4, 16:32, 16:32] = 1
    soft = torch.nn.functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()
    return Predictions(soft, soft, torch.ones(labels.shape), [2, 4])


def test_slices_beyond_the_outermost_inked_ones_have_evidence_of_their_own():
    found = {z: (kind, rows) for z, _, rows, kind in evidence(tapering_volume())}
    kinds = {z: kind for z, (kind, _) in found.items()}
    assert kinds == {z: "matching" if z == 3 else "beyond" for z in (0, 1, 3, 5, 6, 7)}
    for kind, rows in found.values():
        assert rows.shape[1] == len(EVIDENCE[kind])


def test_an_object_that_shrinks_towards_its_end_is_told():
    found = {z: rows for z, _, rows, _ in evidence(tapering_volume())}

    def column(z: int, name: str) -> set[float]:
        return {round(v, 4) for v in found[z][:, EVIDENCE["beyond"].index(name)].tolist()}

    ratio = math.log((64 + 1) / (256 + 1))
    assert column(1, "remaining") == {round(ratio, 4)}  # of class 1, and of any object
    assert column(1, "trend") == {round(ratio / 2, 4)}  # two slices from 4 to 2, one from there
    assert column(0, "trend") == {round(ratio, 4)}
    assert column(5, "remaining") == {0.0}
    assert column(6, "trend") == {round(-ratio, 4)}


def test_a_single_inked_slice_tells_of_no_trend_and_leaves_a_network_its_say():
    known = tapering_volume()
    known.inked = [4]
    assert {kind for *_, kind in evidence(known)} == {"beyond"}
    assert (next(evidence(known)).rows[:, EVIDENCE["beyond"].index("trend")] == 0).all()
    known.network = known.proposed
    assert {kind for *_, kind in evidence(known)} == {"network"}
    known.inked = [2, 4]
    assert {kind for *_, kind in evidence(known)} == {"network", "beyond"}
