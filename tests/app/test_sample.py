"""The sample: a brain, its tissues, and three reference slices of them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_sslseg.app.sample import brain, brain_with_references, reference_slices
from napari_sslseg.sample import IMAGE, LABELS, load


def test_sample_is_small_and_carries_its_notices():
    assert IMAGE.stat().st_size + LABELS.stat().st_size < 1_000_000
    notice = (IMAGE.parent / "NOTICE").read_text(encoding="utf-8")
    assert "McConnell Brain Imaging Centre" in notice
    assert "The nilearn developers" in notice


def test_labels_lie_on_the_image_and_fit_its_contrast():
    image, labels = load()
    assert image.geometry == labels.geometry
    assert nib.aff2axcodes(image.geometry.affine) == ("R", "A", "S")
    assert image.geometry.spacing == (1.0, 1.0, 1.0)
    assert set(np.unique(labels.array)) == {0, 1, 2}
    background, grey, white = (image.array[labels.array == value].mean() for value in range(3))
    assert background < grey < white
    # Position in MNI space: the midline (x = 0) runs between the hemispheres.
    middle = -int(image.geometry.origin[0])
    left, right = labels.array[:middle], labels.array[middle + 1 :]
    assert abs(np.count_nonzero(left) / np.count_nonzero(right) - 1) < 0.05


def test_brain_is_one_image_layer():
    (data,) = brain()
    layer = ViewerModel().add_layer(Layer.create(*data))
    assert layer._type_string == "image"
    assert layer.metadata["napari_sslseg"]["source"] == str(IMAGE)


def test_references_are_three_axial_slices_of_the_truth():
    image_data, ink_data = brain_with_references()
    viewer = ViewerModel()
    image, ink = (viewer.add_layer(Layer.create(*data)) for data in (image_data, ink_data))
    assert (image._type_string, ink._type_string) == ("image", "labels")
    assert ink.name == "References"
    assert ink.data.shape == image.data.shape
    assert np.array_equal(ink.extent.world, image.extent.world)
    whole = [k for k in range(len(ink.data)) if (ink.data[k] != 255).all()]
    assert whole == reference_slices(len(ink.data))
    assert (np.delete(ink.data, whole, axis=0) == 255).all()
    truth = load()[1]
    shown = truth.geometry.canonical().apply(truth.array)
    assert np.array_equal(ink.data[whole], shown[whole])
    assert all(set(np.unique(ink.data[k])) == {0, 1, 2} for k in whole)
    names = {row["id"]: row["name"] for row in ink.metadata["napari_sslseg"]["classes"]}
    assert names == {1: "Grey matter", 2: "White matter"}


def test_reference_slices_are_equally_spaced_inside():
    assert reference_slices(56) == [9, 28, 46]
    assert reference_slices(3) == [0, 1, 2]
