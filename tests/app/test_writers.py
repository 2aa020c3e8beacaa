"""Labels saved from napari lie where their image lies."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from napari.layers import Image, Labels, Layer

from napari_sslseg.app.readers import get_reader
from napari_sslseg.app.writers import write_labels, write_labels_like
from napari_sslseg.formats import FormatError

AFFINE = np.array(
    [[0.0, 0.0, -3.0, 10.0], [-0.9, 0.1, 0.0, 20.0], [0.1, 0.9, 0.0, -30.0], [0, 0, 0, 1.0]]
)
SHAPE = (5, 6, 7)


def opened(path):
    (data,) = get_reader(str(path))(str(path))
    return Layer.create(*data)


@pytest.fixture
def source(tmp_path):
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 2)
    nib.save(image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def painted(image, seed=0):
    """Labels layer as it would be made on an image."""
    return Labels(
        np.random.default_rng(seed).integers(0, 4, image.data.shape[:3]).astype(np.uint8),
        scale=image.scale,
        translate=image.translate,
        metadata=image.metadata,
    )


def image_order(source, labels):
    """Bring shown labels to the order of a file by nibabel's means: S, P, L to the file's axes."""
    ornt = nib.orientations
    shown = np.transpose(labels.data, (2, 1, 0))  # L, P, S
    to_file = ornt.ornt_transform(
        ornt.axcodes2ornt("LPS"), ornt.io_orientation(nib.load(source).affine)
    )
    return ornt.apply_orientation(shown, to_file)


def test_source_geometry_is_written_bit_for_bit(tmp_path, source):
    image = opened(source)
    labels = painted(image)
    out = str(tmp_path / "out.nii.gz")
    assert write_labels(out, *labels.as_layer_data_tuple()[:2]) == [out]
    one, two = nib.load(source), nib.load(out)
    assert one.affine.tobytes() == two.affine.tobytes()
    for field in ("sform_code", "qform_code", "quatern_b", "srow_x", "pixdim", "xyzt_units"):
        assert one.header[field].tobytes() == two.header[field].tobytes()
    a, b = sitk.ReadImage(str(source)), sitk.ReadImage(out)
    assert (a.GetOrigin(), a.GetSpacing(), a.GetDirection()) == (
        b.GetOrigin(),
        b.GetSpacing(),
        b.GetDirection(),
    )
    assert np.array_equal(image_order(source, labels), np.asanyarray(two.dataobj))


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_other_formats_keep_the_place(tmp_path, source, suffix):
    labels = painted(opened(source))
    out = tmp_path / f"seg{suffix}"
    write_labels(str(out), *labels.as_layer_data_tuple()[:2])
    back = opened(out)
    assert np.array_equal(back.data, labels.data)
    np.testing.assert_allclose(
        back.metadata["napari_sslseg"]["affine"],
        labels.metadata["napari_sslseg"]["affine"],
        atol=1e-5,
    )


def test_geometry_outlives_the_source_file(tmp_path, source):
    labels = painted(opened(source))
    affine = nib.load(source).affine
    source.unlink()
    write_labels(str(tmp_path / "out.nii"), *labels.as_layer_data_tuple()[:2])
    assert np.array_equal(nib.load(tmp_path / "out.nii").affine, affine)


def test_source_that_changed_meanwhile_is_not_believed(tmp_path, source):
    labels = painted(opened(source))
    affine = nib.load(source).affine
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), source)
    write_labels(str(tmp_path / "out.nii"), *labels.as_layer_data_tuple()[:2])
    assert np.array_equal(nib.load(tmp_path / "out.nii").affine, affine)


def test_layer_without_a_file_is_written_with_its_scale(tmp_path):
    data = np.arange(5 * 6 * 7, dtype=np.int64).reshape(5, 6, 7) % 5
    layer = Labels(data, scale=(3.0, 2.0, 1.0), translate=(10.0, 20.0, 30.0), units=("mm",) * 3)
    for suffix in (".nii.gz", ".nrrd", ".tif"):
        write_labels(str(tmp_path / f"seg{suffix}"), *layer.as_layer_data_tuple()[:2])
        back = opened(tmp_path / f"seg{suffix}")
        assert np.array_equal(back.data, data)
        assert tuple(back.scale) == pytest.approx((3.0, 2.0, 1.0))
        assert str(back.units[0]) == "millimeter"
        if suffix != ".tif":
            assert tuple(back.translate) == pytest.approx((10.0, 20.0, 30.0))


def test_cropped_layer_falls_back_to_its_scale(tmp_path, source):
    image = opened(source)
    layer = Labels(np.ones((2, 3, 4), np.uint8), scale=image.scale, metadata=image.metadata)
    write_labels(str(tmp_path / "seg.nii"), *layer.as_layer_data_tuple()[:2])
    assert opened(tmp_path / "seg.nii").data.shape == (2, 3, 4)


def test_stack_keeps_its_imagej_fields(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((7, 5, 6), np.uint16),
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "ZYX", "spacing": 2.5, "unit": "micron"},
    )
    labels = painted(opened(tmp_path / "a.tif"))
    write_labels(str(tmp_path / "seg.tif"), *labels.as_layer_data_tuple()[:2])
    with tifffile.TiffFile(tmp_path / "seg.tif") as tif:
        assert tif.imagej_metadata["unit"] == "micron"
        assert tif.imagej_metadata["spacing"] == 2.5
    assert np.array_equal(tifffile.imread(tmp_path / "seg.tif"), labels.data)


def test_image_selected_too_gives_the_geometry(tmp_path, source):
    image = opened(source)
    bare = Labels(np.ones(image.data.shape, np.uint8))
    layers = [image.as_layer_data_tuple(), bare.as_layer_data_tuple()]
    assert write_labels_like(str(tmp_path / "o.nii"), layers) == [str(tmp_path / "o.nii")]
    assert np.array_equal(nib.load(tmp_path / "o.nii").affine, nib.load(source).affine)
    with pytest.raises(FormatError, match="shape"):
        write_labels_like(
            str(tmp_path / "o.nii"),
            [Image(np.zeros((3, 3, 3))).as_layer_data_tuple(), bare.as_layer_data_tuple()],
        )


def test_what_is_no_mask_is_refused(tmp_path):
    with pytest.raises(FormatError, match="class ids"):
        write_labels(str(tmp_path / "o.nii"), np.full((3, 4, 5), 1000), {})
    with pytest.raises(FormatError, match="4 dimensions"):
        write_labels(str(tmp_path / "o.nii"), np.zeros((2, 3, 4, 5), int), {})
