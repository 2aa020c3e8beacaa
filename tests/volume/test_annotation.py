"""Ink, reference slices and corrections."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.annotation import (
    NOT_ANNOTATED,
    SliceState,
    blank_ink,
    corrections,
    infer_axis,
    latest,
    merge_ink,
    reference_slices,
    slice_state,
    slice_states,
    stated,
)


def test_a_slice_is_a_reference_only_when_every_voxel_is_stated():
    ink = blank_ink((4, 3, 3))
    ink[1] = 0
    ink[2] = 1
    ink[2, 0, 0] = NOT_ANNOTATED
    assert reference_slices(ink, 0) == [1]
    assert slice_states(ink, 0).tolist() == [
        SliceState.EMPTY, SliceState.WHOLE, SliceState.PARTIAL, SliceState.EMPTY,
    ]  # fmt: skip
    assert slice_state(ink[2]) is SliceState.PARTIAL


def test_slices_of_a_mask_without_any_class_are_untouched():
    labels = np.zeros((3, 2, 2), dtype=np.uint8)
    labels[:, 0, 1] = 0, 1, 0
    assert stated(labels, 0).tolist() == [
        [[255, 255], [255, 255]],
        [[0, 1], [0, 0]],
        [[255, 255], [255, 255]],
    ]
    labels[0, 0, 0] = NOT_ANNOTATED
    assert stated(labels, 0) is labels


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_infer_axis_finds_whole_slices(axis):
    ink = blank_ink((6, 7, 8))
    stack = np.moveaxis(ink, axis, 0)
    stack[1] = 0
    stack[4, 2:4, 2:4] = 1  # partial ink on another slice of the same axis
    assert infer_axis(ink) == axis


def test_the_axis_is_found_in_a_flat_volume_too():
    ink = blank_ink((4, 2, 50))
    ink[:3] = 0  # three whole slices of 100; along the next axis two of which half is inked
    assert infer_axis(ink) == 0


def test_infer_axis_refuses_blank_ink():
    with pytest.raises(ValueError, match="every voxel"):
        infer_axis(blank_ink((2, 2, 2)))


def test_merged_ink_keeps_the_first_word():
    first, second = blank_ink((1, 1, 3)), blank_ink((1, 1, 3))
    first[0, 0, :2] = 1, 2
    second[0, 0, 1:] = 5, 6
    assert merge_ink(first, [second])[0, 0].tolist() == [1, 2, 6]
    assert first[0, 0].tolist() == [1, 2, NOT_ANNOTATED]


def test_corrections_follow_from_comparison():
    proposed = np.array([0, 1, 1, 2], dtype=np.uint8)
    edited = np.array([0, 0, 1, 2], dtype=np.uint8)
    assert corrections(edited, proposed).tolist() == [255, 0, 255, 255]


def test_where_a_stroke_went_is_a_correction_even_if_the_same_is_proposed():
    proposed = np.array([1, 1, 1], dtype=np.uint8)
    edited = np.array([1, 2, 1], dtype=np.uint8)
    said = np.array([True, False, False])
    assert corrections(edited, proposed, said).tolist() == [1, 2, 255]


def test_the_latest_word_is_a_correction_then_ink_then_what_was_proposed():
    ink, edited = np.array([1, 1, 255], np.uint8), np.array([2, 3, 4], np.uint8)
    assert latest(ink, edited, np.array([True, False, False])).tolist() == [2, 1, 4]
