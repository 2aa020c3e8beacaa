"""Slices as training sees them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sslseg.methods.propagation import propagate
from napari_sslseg.training.stack import POSITIONS, SliceStack, TrainingError
from napari_sslseg.training.windowed import channel_scales
from napari_sslseg.volume.annotation import NOT_ANNOTATED, blank_ink
from napari_sslseg.volume.extent import Extent

from .conftest import SHAPE


def test_label_ids_become_indices_and_come_back(stack, ink):
    assert stack.class_ids == (0, 3, 5)
    found = stack.ink.numpy()
    assert set(np.unique(found)) == {0, 1, 2, NOT_ANNOTATED}
    inked = ink != NOT_ANNOTATED
    assert np.array_equal(stack.to_ids(found * inked)[inked], ink[inked])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_is_cut_and_put_back(image, ink, axis):
    turned = [np.ascontiguousarray(np.moveaxis(a, 0, axis)) for a in (image, ink)]
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 2.0
    stack = SliceStack.from_volume(*turned, axis, tuple(spacing))
    assert stack.references() == [1, 5, 9, 12]
    assert stack.spacing == (2.0, 1.0, 1.0)
    back = stack.to_volume(stack.ink.numpy())
    assert np.array_equal(back == NOT_ANNOTATED, turned[1] == NOT_ANNOTATED)


def test_channels_are_normalised_one_by_one(image, ink):
    two = np.stack([image, 1000 * image + 7], axis=-1)
    stack = SliceStack.from_volume(two, ink, 0, (1.0, 1.0, 1.0))
    assert stack.image.shape == (SHAPE[0], 2, *SHAPE[1:])
    assert torch.allclose(stack.image[:, 0], stack.image[:, 1], atol=1e-3)
    assert abs(float(stack.image.mean())) < 1e-3
    assert stack.in_channels == 2 * 3 + POSITIONS


def test_context_repeats_the_last_slice_at_the_ends(stack):
    images = stack.context(torch.tensor([0, 7]))
    assert images.shape == (2, 3 + POSITIONS, *SHAPE[1:])
    assert torch.equal(images[0, 0], images[0, 1])
    assert torch.equal(images[1, 2], stack.image[8, 0])
    assert images[0, 3].unique().tolist() == [-1.0]  # the slice's place, first of all
    assert float(images[0, 4].min()) == -1
    assert float(images[0, 4].max()) == 1


def test_partial_ink_is_inked_but_no_reference(image, truth):
    ink = blank_ink(SHAPE)
    ink[2] = truth[2]
    ink[6, :10] = truth[6, :10]
    stack = SliceStack.from_volume(image, ink, 0, (1.0, 1.0, 1.0))
    assert stack.references() == [2]
    assert stack.inked() == [2, 6]


def test_what_cannot_teach_is_said(image):
    with pytest.raises(TrainingError, match="Nothing but background"):
        SliceStack.from_volume(image, np.zeros(SHAPE, np.uint8), 0, (1.0, 1.0, 1.0))
    ink = blank_ink(SHAPE)
    ink[3, 3, 3] = 2
    with pytest.raises(TrainingError, match="no background"):
        SliceStack.from_volume(image, ink, 0, (1.0, 1.0, 1.0))
    ink[3] = 0
    ink[3, 3, 3] = 2
    nothing = np.full(SHAPE, np.nan)
    with pytest.raises(TrainingError, match="no number in any voxel"):
        SliceStack.from_volume(nothing, ink, 0, (1.0, 1.0, 1.0))


def test_a_constant_image_does_not_divide_by_zero(ink):
    stack = SliceStack.from_volume(np.full(SHAPE, 7), ink, 0, (1.0, 1.0, 1.0))
    assert torch.isfinite(stack.image).all()


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e6])
def test_an_image_is_normalised_whatever_its_unit(image, ink, scale):
    plain = SliceStack.from_volume(image, ink, 0, (1.0, 1.0, 1.0)).image
    small = (image * scale).astype(np.float32)
    found = SliceStack.from_volume(small, ink, 0, (1.0, 1.0, 1.0)).image
    assert torch.allclose(found, plain, atol=1e-3)
    for scale in channel_scales(small, 1, lambda: None):
        assert np.allclose(scale.apply(small), plain[:, 0].numpy(), atol=1e-3)


def test_strokes_that_do_not_tell_where_the_object_ends_are_refused(image, truth):
    ink = blank_ink(SHAPE)
    ink[4, truth[4] == 3] = 3
    ink[8, :2] = 0
    sentence = "No slice shows both an object and background"
    with pytest.raises(TrainingError, match=sentence):
        SliceStack.from_volume(image, ink, 0, (1.0, 1.0, 1.0))
    ink[0] = 0  # a whole slice, but of background alone
    with pytest.raises(TrainingError, match=sentence):
        SliceStack.from_volume(image, ink, 0, (1.0, 1.0, 1.0))
    ink[4, :2] = 0
    stack = SliceStack.from_volume(image, ink, 0, (1.0, 1.0, 1.0))
    assert stack.anchors() == [0, 4]
    assert stack.references() == [0]
    assert propagate(stack.inked_volume()).inked_slices == [0, 4]


def classes_without_background(truth, whole=()) -> np.ndarray:
    ink = blank_ink(SHAPE)
    for z in (4, 8):
        ink[z][truth[z] > 0] = truth[z][truth[z] > 0]
    for z in whole:
        ink[z] = np.where(truth[z] == 5, 5, 3)
    return ink


def test_classes_without_any_background_are_said_to_teach_nothing(image, truth):
    strokes = classes_without_background(truth)
    for extent in (None, Extent(3, 9)):  # the strokes would fill their slices all the same
        with pytest.raises(TrainingError, match="no background; mark a slice as reference"):
            SliceStack.from_volume(image, strokes, 0, (1.0, 1.0, 1.0), extent)
    parcels = classes_without_background(truth, whole=(6,))
    assert SliceStack.from_volume(image, parcels, 0, (1.0, 1.0, 1.0)).class_ids == (0, 3, 5)
    one = np.where(parcels == 5, np.uint8(3), parcels)
    with pytest.raises(TrainingError, match="Only one class is annotated"):
        SliceStack.from_volume(image, one, 0, (1.0, 1.0, 1.0))
    # It fills its slices and ends where the user says.
    assert SliceStack.from_volume(image, one, 0, (1.0, 1.0, 1.0), Extent(3, 9)).class_ids == (0, 3)


def test_background_is_carried_from_the_slices_outside_though_it_is_inked_nowhere():
    shape = (20, 36, 40)
    truth = np.broadcast_to(np.where(np.arange(40) < 20, 3, 5), shape).astype(np.uint8)
    inside = slice(4, 16)
    image = np.full(shape, 40.0)
    image[inside] = 100 + 15.0 * truth[inside]
    image += np.random.default_rng(0).normal(0, 8, shape)
    ink = blank_ink(shape)
    for z in (8, 11):  # the object fills its slices
        ink[z] = truth[z]
    stack = SliceStack.from_volume(image, ink, 0, (2.0, 1.0, 1.0), Extent(2, 17))
    found = propagate(stack.inked_volume())
    background = found.probabilities[:, 0].mean((1, 2))
    assert background[stack.outside].eq(1).all()
    # What it looks like nobody has said, and that counts neither for it nor against it.
    assert float(background[[2, 3, 16, 17]].min()) > 0.99
    assert bool(found.labels[inside].all())


def test_slices_outside_of_the_object_are_neither_ink_nor_references(image, ink):
    ink[13, 2, 3] = 0  # some background there changes nothing
    for axis in range(3):
        turned = [np.moveaxis(array, 0, axis) for array in (image, ink)]
        stack = SliceStack.from_volume(*turned, axis, (1.0, 1.0, 1.0), Extent(4, 10))
        # References 1 and 12 show the object: they are not outside, whatever was said.
        assert stack.outside == [0, 2, 3, 11, 13]
        assert stack.references() == [1, 5, 9, 12]
        assert stack.inked() == [1, 5, 9, 12, 13]
    probabilities = torch.rand(14, 3, 4, 5)
    before = probabilities.clone()
    stack.empty_outside(probabilities)
    assert bool((probabilities[stack.outside, 0] == 1).all())
    assert not bool(probabilities[stack.outside, 1:].any())
    assert torch.equal(probabilities[4:11], before[4:11])
