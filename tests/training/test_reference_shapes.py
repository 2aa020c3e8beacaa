"""Interpolated outlines between references, and how much they count."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.shape_prior import inscribed_radius
from napari_sslseg.training.reference_shapes import CLOSE, MOST, ReferenceShapes
from napari_sslseg.training.stack import SliceStack

EMPTY = 255


def stack_of(references: dict[int, torch.Tensor], depth: int, step: float = 1.0) -> SliceStack:
    ink = torch.full((depth, 24, 24), EMPTY, dtype=torch.uint8)
    for z, labels in references.items():
        ink[z] = labels
    return SliceStack(torch.zeros(depth, 1, 24, 24), ink, (0, 1), (step, 1.0, 1.0), 0)


def disc(radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    return ((y - 12).hypot(x - 12) <= radius).to(torch.uint8)


def test_outlines_are_halfway_in_the_middle():
    shapes = ReferenceShapes(stack_of({0: disc(3), 4: disc(9)}, 5))
    found = shapes.labels(2)
    assert torch.allclose(found.sum(0), torch.ones(24, 24))
    assert int((found.argmax(0) != disc(6)).sum()) <= 8  # pixels on the border of 113
    assert int(shapes.labels(1).argmax(0).sum()) < int(shapes.labels(3).argmax(0).sum())


def test_they_count_where_references_are_close_and_nowhere_else():
    radius = inscribed_radius(disc(6) == 1)
    half = CLOSE * radius  # pixels between two references
    shapes = ReferenceShapes(stack_of({2: disc(6), 4: disc(6), 24: disc(6)}, 30, half / 20))
    assert [shapes.share(z) for z in (0, 2, 4, 24, 28)] == [0.0] * 5
    assert shapes.share(3) == pytest.approx(MOST, rel=0.01)
    assert shapes.share(10) == pytest.approx(MOST / 2)
    thick = ReferenceShapes(stack_of({0: disc(6), 2: disc(6)}, 3, step=2 * half))
    assert 0 < thick.share(1) < 0.01
    empty = ReferenceShapes(stack_of({0: 0 * disc(6), 2: 0 * disc(6)}, 3))
    assert empty.share(1) == 0.0


def test_a_slice_in_part_inked_is_no_end():
    strokes = torch.full((24, 24), EMPTY, dtype=torch.uint8)
    strokes[12, 10:14] = 1
    shapes = ReferenceShapes(stack_of({0: disc(6), 2: strokes, 4: disc(6)}, 5, 0.1))
    assert shapes.share(2) == shapes.share(1) > 0


def test_the_matching_is_moved_towards_them_and_left_alone_elsewhere():
    shapes = ReferenceShapes(stack_of({1: disc(6), 3: disc(6)}, 5, 0.1))
    matched = torch.zeros(5, 2, 24, 24, dtype=torch.half)
    matched[:, 0] = 1
    before = matched.clone()
    whole = shapes.mixed_into(matched)
    assert torch.equal(matched, before)
    assert torch.equal(whole[[0, 1, 3, 4]], before[[0, 1, 3, 4]].float())
    assert float(whole[2, 1, 12, 12]) == pytest.approx(shapes.share(2), abs=1e-3)
    assert torch.allclose(whole.sum(1), torch.ones(5, 24, 24))
    assert torch.equal(shapes.mixed_into(matched[2:3], 2), whole[2:3])
