"""Stretches that are made again after ink has changed, and those that are taken over."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods import propagation_sources
from napari_sslseg.methods.propagation import Renewal

from .moving_discs import NONE, disc, ellipsoid, ink_in, moving_disc, propagated, volume_of


def test_changed_slices_renew_only_their_stretches() -> None:
    labels = moving_disc(13, 1.0)
    image = volume_of(labels)
    first = propagated(image, ink_in(labels, [0, 4, 8, 12]), 2)
    corrected = labels.clone()
    corrected[4, 20:30, 20:30] = 1
    ink = ink_in(corrected, [0, 4, 8, 12])
    second = propagated(image, ink, 2, Renewal(first, [4]))
    whole = propagated(image, ink, 2)
    assert torch.equal(second.probabilities[8:], first.probabilities[8:])
    assert torch.equal(second.probabilities[:9], whole.probabilities[:9])
    assert not torch.equal(second.probabilities[3], first.probabilities[3])


def test_a_new_reference_splits_a_stretch() -> None:
    labels = moving_disc(13, 1.0)
    image = volume_of(labels)
    first = propagated(image, ink_in(labels, [0, 6, 12]), 2)
    ink = ink_in(labels, [0, 3, 6, 12])
    second = propagated(image, ink, 2, Renewal(first, [3]))
    assert torch.equal(second.labels[3], labels[3])
    assert torch.equal(second.probabilities[7:], first.probabilities[7:])
    assert torch.equal(second.probabilities[:7], propagated(image, ink, 2).probabilities[:7])


def test_a_stretch_is_renewed_between_ink_and_empty_slices() -> None:
    labels = ellipsoid()
    image, empty = volume_of(labels, noise=0.5), [0, 1, 2, 3, 17, 18, 19, 20]
    first = propagated(image, ink_in(labels, [6, 10, 14]), 2, empty=empty)
    ink = ink_in(labels, [10, 14])
    second = propagated(image, ink, 2, Renewal(first, [6]), empty=empty)
    whole = propagated(image, ink, 2, empty=empty)
    assert torch.equal(second.labels[:10], whole.labels[:10])
    assert torch.equal(second.labels[10:], first.labels[10:])


def test_an_open_end_is_renewed_where_its_trend_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    # What all of the ink says together may be of before.
    monkeypatch.setattr(propagation_sources, "fit_appearance", lambda *given: None)
    labels = moving_disc(14, 0.0)
    for z in range(14):
        labels[z] = disc((32, 32), 20 - z).to(torch.uint8)
    image = volume_of(labels, noise=1.0)
    ink = ink_in(labels, [0, 6, 8])
    ink[6] = disc((32, 32), 12.5).to(torch.uint8)  # as large as in slice 8: no trend
    before = propagated(image, ink, 2)
    ink[6] = labels[6]
    found = propagated(image, ink, 2, Renewal(before, [6]))
    assert torch.equal(found.labels[9:], propagated(image, ink, 2).labels[9:])
    assert not torch.equal(found.labels[9:], before.labels[9:])
    gone = ink.clone()
    gone[6] = NONE
    found = propagated(image, gone, 2, Renewal(before, [6]))
    assert torch.equal(found.labels[9:], propagated(image, gone, 2).labels[9:])


def test_ink_of_an_object_counts_in_a_slice_called_empty_until_it_is_taken_back() -> None:
    labels = moving_disc(9, 0.0)
    labels[7:] = 0
    image = volume_of(labels)
    ink = ink_in(labels, [1, 5])
    plain = propagated(image, ink, 2, empty=[7, 8])
    marked = ink.clone()
    marked[8, 4:8, 4:8] = 1
    found = propagated(image, marked, 2, Renewal(plain, [8]), empty=[7, 8])
    assert bool((found.labels[8, 4:8, 4:8] == 1).all())
    back = propagated(image, ink, 2, Renewal(found, [8]), empty=[7, 8])
    assert int(back.labels[7:].sum()) == 0
    marked[8] = NONE
    marked[8, 4:8, 4:8] = 0  # says nothing new
    found = propagated(image, marked, 2, empty=[7, 8])
    assert torch.equal(found.labels, plain.labels)
