"""Frames: the same in training and in prediction, and whole again when put together."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.training.tiles import MARGIN, Tiles
from napari_sslseg.volume.annotation import NOT_ANNOTATED


def around(shape, box, limit=128, fixed=None, stride=8):
    foreground = torch.zeros(3, *shape)
    top, bottom, left, right = box
    foreground[1, top:bottom, left:right] = 1
    ink = torch.full((3, *shape), NOT_ANNOTATED, dtype=torch.uint8)
    return Tiles.around(foreground, ink, stride, limit, fixed)


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
    assert (tiles.cut(maps[:, 0], tiles.corners[0], 255)[..., 36:, :] == 255).all()


@pytest.mark.parametrize("limit", [32, 64])
def test_a_large_object_is_covered_by_overlapping_frames(limit):
    tiles = around((150, 170), (20, 130, 10, 165), limit=limit)
    seen = torch.zeros(150, 170, dtype=torch.bool)
    for top, left in tiles.corners:
        seen[top : top + tiles.size[0], left : left + tiles.size[1]] = True
    assert tiles.size == (limit, limit)
    assert seen[20 - MARGIN : 130 + MARGIN, max(0, 10 - MARGIN) : 165].all()


def test_what_is_cut_is_pasted_back_and_the_rest_is_background():
    tiles = around((150, 170), (20, 130, 40, 120), limit=64)
    probs = torch.rand(2, 3, 150, 170).softmax(1)
    again = tiles.paste([tiles.cut(probs, c) for c in tiles.corners], 150, 170)
    assert torch.allclose(again[..., 20:130, 40:120], probs[..., 20:130, 40:120], atol=1e-5)
    assert torch.allclose(again.sum(1), torch.ones(2, 150, 170), atol=1e-5)
    assert (again[:, 0, 0, 0] == 1).all()


def test_painted_ink_belongs_to_the_object_even_where_the_matching_sees_none():
    ink = torch.full((1, 64, 64), NOT_ANNOTATED, dtype=torch.uint8)
    ink[0, 2, 2] = 1
    tiles = Tiles.around(torch.zeros(1, 64, 64), ink, 8, 128, None)
    assert tiles.corners[0] == (0, 0)


def test_a_fixed_size_is_kept():
    assert around((200, 200), (90, 110, 90, 110), fixed=(96, 64)).size == (96, 64)


def test_nothing_found_means_the_whole_slice():
    tiles = around((40, 48), (0, 0, 0, 0))
    assert tiles.size == (40, 48)
