"""The part of the slices worth computing on, and what lies around what is inked."""

from __future__ import annotations

import torch

from napari_sslseg.methods.working_region import within_reach


def test_squares_around_a_mask_are_cut_at_the_border_alone():
    mask = torch.zeros(2, 9, 12, dtype=torch.bool)
    mask[0, 4, 5] = mask[0, 0, 11] = True
    found = within_reach(mask, 2)
    expected = torch.zeros_like(mask)
    expected[0, 2:7, 3:8] = True
    expected[0, :3, 9:] = True
    assert torch.equal(found, expected)
    assert torch.equal(within_reach(mask, 0), mask)
