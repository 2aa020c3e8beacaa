"""Frames: the same in training and in prediction, and whole again when put together."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.training.plan import make_plan
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.tiles import MARGIN, Tiles, _reduction, _starts
from napari_sslseg.volume.annotation import NOT_ANNOTATED


def around(shape, box, limit=128, fixed=None, stride=8, detail=0.0):
    foreground = torch.zeros(3, *shape)
    top, bottom, left, right = box
    foreground[1, top:bottom, left:right] = 1
    ink = torch.full((3, *shape), NOT_ANNOTATED, dtype=torch.uint8)
    return Tiles.around(foreground, ink, stride, limit, fixed, detail)


def test_a_small_object_gets_one_frame_with_a_margin():
    tiles = around((200, 200), (90, 110, 100, 116))
    assert len(tiles.corners) == 1
    (h, w), (top, left) = tiles.size, tiles.corners[0]
    assert h % 8 == w % 8 == 0
    assert top <= 90 - MARGIN
    assert top + h >= 110 + MARGIN
    assert left <= 100 - MARGIN
    assert left + w >= 116 + MARGIN


def test_a_slice_smaller_than_the_frame_is_padded_by_repetition():
    tiles = around((35, 35), (0, 35, 0, 35))
    assert tiles.size == (40, 40)
    maps = torch.arange(35 * 35, dtype=torch.float32).reshape(1, 1, 35, 35)
    piece = tiles.cut(maps, tiles.corners[0])
    assert piece.shape[-2:] == (40, 40)
    assert torch.equal(piece[..., -1, :35], maps[..., -1, :])
    assert (tiles.cut_labels(maps[:, 0].byte(), tiles.corners[0], 255)[..., 36:, :] == 255).all()


@pytest.mark.parametrize("limit", [32, 64])
def test_a_large_object_is_covered_by_overlapping_frames(limit):
    tiles = around((150, 170), (20, 130, 10, 165), limit=limit)
    seen = torch.zeros(150, 170, dtype=torch.bool)
    for top, left in tiles.corners:
        seen[top : top + tiles.size[0], left : left + tiles.size[1]] = True
    assert tiles.size == (limit, limit)
    assert seen[20 - MARGIN : 130 + MARGIN, max(0, 10 - MARGIN) : 165].all()


def test_frames_overlap_by_a_quarter():
    assert _starts((0, 80), 40, 80) == [0, 20, 40]


def test_what_is_cut_is_pasted_back_and_the_rest_is_background():
    tiles = around((150, 170), (20, 130, 40, 120), limit=64)
    probs = torch.rand(2, 3, 150, 170).softmax(1)
    again = tiles.paste([tiles.cut(probs, c) for c in tiles.corners], 150, 170)
    assert torch.allclose(again[..., 20:130, 40:120], probs[..., 20:130, 40:120], atol=1e-5)
    assert torch.allclose(again.sum(1), torch.ones(2, 150, 170), atol=1e-5)
    assert (again[:, 0, 0, 0] == 1).all()


def test_the_outermost_pixels_of_frames_count():
    tiles = Tiles((4, 4), ((0, 0), (0, 3)))
    piece = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)], 1)
    assert (tiles.paste([piece, piece], 4, 7)[:, 1] == 1).all()


@pytest.mark.parametrize("reduction", [1, 2])
def test_what_a_network_says_at_the_very_edge_of_a_frame_is_not_looked_at(reduction):
    side = 16 * reduction
    tiles = Tiles((side, side), ((0, 0), (0, side // 2)), reduction)
    piece = torch.zeros(1, 2, 16, 16)
    piece[:, 0] = 1
    for edge in (piece[..., :1, :], piece[..., -1:, :], piece[..., :1], piece[..., -1:]):
        edge.copy_(torch.tensor([0.3, 0.7]).view(1, 2, 1, 1).expand_as(edge))
    assert (tiles.paste([piece, piece], side, 3 * side // 2)[:, 0] == 1).all()


def test_painted_ink_belongs_to_the_object_even_where_the_matching_sees_none():
    ink = torch.full((1, 64, 64), NOT_ANNOTATED, dtype=torch.uint8)
    ink[0, 2, 2] = 1
    tiles = Tiles.around(torch.zeros(1, 64, 64), ink, 8, 128, None)
    assert tiles.corners[0] == (0, 0)


def test_a_fixed_size_is_kept():
    assert around((200, 200), (90, 110, 90, 110), fixed=Tiles((96, 64), (), 2)) == Tiles(
        (96, 64), ((52, 68),), 2
    )


def test_a_large_smooth_object_is_reduced_and_a_thin_one_is_not():
    box = (50, 250, 60, 240)
    smooth, thin = around((300, 300), box, detail=30.0), around((300, 300), box, detail=3.0)
    assert smooth.reduction == 2
    assert len(smooth.corners) == 1
    assert smooth.pixels == smooth.size[0] * smooth.size[1] // 4
    assert all(side % 16 == 0 for side in smooth.size)
    assert thin.reduction == 1
    assert len(thin.corners) > 1


def test_the_thinnest_structure_keeps_four_pixels():
    assert [_reduction([200, 200], detail) for detail in (7.9, 8.0)] == [1, 2]


def test_a_reduced_frame_keeps_place_and_labels():
    tiles = around((300, 300), (50, 250, 60, 240), detail=30.0)
    rows = torch.arange(300.0)[:, None].expand(300, 300)
    maps = torch.stack([rows, rows.T])[None] / 300
    piece = tiles.cut(maps, tiles.corners[0])
    assert piece.shape[-2:] == (tiles.size[0] // 2, tiles.size[1] // 2)
    again = tiles.paste([piece], 300, 300)
    assert torch.allclose(again[..., 60:240, 70:230], maps[..., 60:240, 70:230], atol=1e-4)
    labels = (rows > 150).to(torch.uint8)[None]
    small = tiles.cut_labels(labels, tiles.corners[0], NOT_ANNOTATED)
    assert small.dtype == torch.uint8
    assert small.shape == (1, *piece.shape[-2:])
    assert int(small.sum()) == int((piece[:, 0] * 300 > 150).sum())


def test_nothing_found_means_the_whole_slice():
    tiles = around((40, 48), (0, 0, 0, 0))
    assert tiles.size == (40, 48)


def test_strokes_do_not_decide_the_resolution_where_whole_slices_tell_how_thin_the_object_is(
    untuned,
):
    ink = torch.full((9, 300, 300), NOT_ANNOTATED, dtype=torch.uint8)
    ink[4] = 0
    ink[4, 50:250, 60:240] = 1
    image = torch.zeros(9, 1, 300, 300)
    request, device = TrainRequest(), torch.device("cpu")

    def reduction() -> int:
        stack = SliceStack(image, ink, (0, 1), (1.0, 1.0, 1.0), 0)
        return make_plan(stack, request, device, (ink[4:5] == 1).float()).tiles.reduction

    smooth = reduction()
    ink[:, 150] = ink[4, 150].clone()  # inked across
    assert reduction() == smooth > 1
    ink[4, :140] = NOT_ANNOTATED  # no slice is whole, but one tells the object from background
    assert reduction() == smooth
    ink[4][ink[4] == 0] = NOT_ANNOTATED  # nothing does
    assert reduction() == 1
    ink[4] = 0  # one is, but shows nothing
    assert reduction() == 1
    ink[[0, 1, 2, 3, 5, 6, 7, 8]] = NOT_ANNOTATED
    ink[5, 60:250, 60:240] = 1
    assert reduction() == smooth


def test_frames_surround_what_lies_within_half_their_margin():
    shape, ink = (200, 200), torch.full((3, 200, 200), NOT_ANNOTATED, dtype=torch.uint8)
    tiles = around(shape, (60, 140, 20, 190), limit=64)
    assert len(tiles.corners) > 1

    def shown(top, bottom, left, right):
        foreground = torch.zeros(1, *shape)
        foreground[0, top:bottom, left:right] = 1
        return foreground

    assert tiles.surrounds(shown(60, 140, 20, 190), ink)
    assert tiles.surrounds(shown(55, 142, 15, 198), ink)
    first = min(row for row, _ in tiles.corners)
    assert tiles.surrounds(shown(first + MARGIN // 2, 140, 20, 190), ink)
    assert not tiles.surrounds(shown(first + MARGIN // 2 - 1, 140, 20, 190), ink)
    ink[1, 3, 100] = 1
    assert not tiles.surrounds(shown(60, 140, 20, 190), ink)
