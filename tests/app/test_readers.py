"""Files opened in napari: the right way up, in millimetres, with the way back."""

from __future__ import annotations

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Layer

from napari_sslseg.app.readers import get_reader, read_volume
from napari_sslseg.formats import FormatError
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.volume.geometry import CanonicalOrder

from ..formats.dicom_files import write_series

SPACING = (0.8, 1.5, 4.0)
SLICES = np.random.default_rng(0).integers(-1000, 300, (5, 6, 7)).astype(np.int16)


def add(viewer, path):
    """Add a file as napari does."""
    return [viewer.add_layer(Layer.create(*data)) for data in get_reader(str(path))(str(path))]


def make(path, permutation=(0, 1, 2), signs=(1, 1, 1), *, tilt=0.0, dtype=np.int16):
    """Write a volume with a bright spot at a known world position, and return that position."""
    axes = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(permutation, signs, strict=True)):
        axes[world, axis] = sign
    c, s = np.cos(tilt), np.sin(tilt)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ axes * SPACING
    affine[:3, 3] = (-20.0, 15.0, 40.0)
    array = np.zeros((6, 7, 8), dtype)
    array[1, 2, 3] = 100
    nib.save(nib.Nifti1Image(array, affine), path)
    return affine @ (1, 2, 3, 1)


@pytest.mark.parametrize(
    ("permutation", "signs"),
    [
        (p, s)
        for p in itertools.permutations(range(3))
        for s in itertools.product((1, -1), repeat=3)
    ],
)
def test_every_orientation_is_shown_at_its_place(tmp_path, permutation, signs):
    x, y, z, _ = make(tmp_path / "a.nii.gz", permutation, signs)
    (layer,) = add(ViewerModel(), tmp_path / "a.nii.gz")
    spot = np.argwhere(layer.data == 100)[0]
    np.testing.assert_allclose(layer.data_to_world(spot), (z, -y, -x), atol=1e-5)
    assert (np.array(layer.scale) > 0).all()
    assert tuple(str(unit) for unit in layer.units) == ("millimeter",) * 3
    assert tuple(layer.axis_labels) == ("S", "P", "L")


def test_oblique_volume_raises_no_warning_and_keeps_its_affine(tmp_path, recwarn):
    position = make(tmp_path / "a.nii.gz", (1, 2, 0), (1, -1, 1), tilt=0.3)
    viewer = ViewerModel()
    (layer,) = add(viewer, tmp_path / "a.nii.gz")
    viewer.dims.set_current_step(0, 2)
    assert not [w for w in recwarn if "orthogonal" in str(w.message)]
    entry = layer.metadata["napari_sslseg"]
    spot = np.argwhere(layer.data == 100)[0]
    np.testing.assert_allclose(np.array(entry["affine"]) @ [*spot, 1], position, atol=1e-5)


def test_metadata_leads_back_to_the_file(tmp_path):
    make(tmp_path / "a.nii.gz", (2, 0, 1), (-1, 1, -1))
    (layer,) = add(ViewerModel(), tmp_path / "a.nii.gz")
    entry = json.loads(json.dumps(layer.metadata["napari_sslseg"]))
    order = CanonicalOrder.from_dict(entry["order"])
    source = nib.load(entry["source"])
    assert np.array_equal(order.invert(layer.data), np.asanyarray(source.dataobj))
    assert order.source.affine.tobytes() == source.affine.tobytes()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("case_gt", "labels"),
        ("brain-labels", "labels"),
        ("tumour.seg", "labels"),
        ("mask", "labels"),
        ("Segmentation", "labels"),
        ("refs", "labels"),
        ("image", "image"),
        ("masked", "image"),
        ("insegment", "image"),
    ],
)
def test_layer_type_follows_the_name(tmp_path, name, kind):
    make(tmp_path / f"{name}.nii.gz")
    (layer,) = add(ViewerModel(), tmp_path / f"{name}.nii.gz")
    assert layer._type_string == kind


def test_image_that_is_called_a_mask_is_an_image(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "mask.nii.gz")
    ramp = np.arange(200, dtype=np.uint8).reshape(5, 5, 8)
    nib.save(nib.Nifti1Image(ramp, np.eye(4)), tmp_path / "label.nii.gz")
    for name in ("mask", "label"):
        (layer,) = add(ViewerModel(), tmp_path / f"{name}.nii.gz")
        assert layer._type_string == "image"


def test_labels_can_be_painted_on(tmp_path):
    make(tmp_path / "seg.nii", (2, 1, 0), (-1, 1, 1), dtype=np.uint8)
    (layer,) = add(ViewerModel(), tmp_path / "seg.nii")
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 3)
    assert layer.data[0, 0, 0] == 3
    assert nib.load(tmp_path / "seg.nii").get_fdata().max() == 100


def test_colours_make_one_layer_and_channels_several(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb")
    (layer,) = add(ViewerModel(), tmp_path / "rgb.tif")
    assert layer.rgb
    assert layer.scale.shape == (3,)
    modalities = np.random.default_rng(0).normal(size=(6, 7, 8, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(modalities, np.diag([-1.0, 1, 1, 1])), tmp_path / "mr.nii.gz")
    first, second = add(ViewerModel(), tmp_path / "mr.nii.gz")
    assert (first.name, second.name) == ("mr [0]", "mr [1]")
    order = CanonicalOrder.from_dict(second.metadata["napari_sslseg"]["order"])
    assert np.array_equal(order.invert(second.data), modalities[..., 1])


def test_stack_keeps_its_pages_and_unit(tmp_path):
    stack = np.arange(7 * 5 * 6, dtype=np.uint16).reshape(7, 5, 6)
    tifffile.imwrite(
        tmp_path / "a.tif",
        stack,
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "ZYX", "spacing": 2.5, "unit": "um"},
    )
    (layer,) = add(ViewerModel(), tmp_path / "a.tif")
    assert np.array_equal(layer.data, stack)
    assert tuple(layer.scale) == (2.5, 0.5, 0.25)
    assert str(layer.units[0]) == "micrometer"
    assert tuple(layer.axis_labels) == ("z", "y", "x")


def test_several_files_are_read_one_after_another(tmp_path):
    for name in ("a.nii", "b.nii"):
        make(tmp_path / name)
    paths = [str(tmp_path / name) for name in ("a.nii", "b.nii")]
    assert [options["name"] for _, options, _ in get_reader(paths)(paths)] == ["a", "b"]


@pytest.mark.parametrize("path", ["a.txt", "folder", ["a.nii", "b.txt"], []])
def test_other_files_are_left_to_other_readers(path):
    assert get_reader(path) is None


def test_folders_are_read_if_they_hold_an_image(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    assert get_reader(str(tmp_path)) is None
    write_series(tmp_path / "ct", SLICES, modality="CT")
    assert get_reader(str(tmp_path)) is not None


def test_series_is_one_layer_however_many_of_its_files_are_given(tmp_path):
    paths = [str(p) for p in write_series(tmp_path, SLICES, modality="CT")]
    ((array, options, kind),) = get_reader(paths)(paths)
    assert (array.shape, kind) == ((5, 6, 7), "image")
    assert options["contrast_limits"] == (-160, 240)
    assert options["name"] == "made for a test"


def test_slices_dropped_one_by_one_are_one_layer_and_may_be_opened_again(tmp_path, monkeypatch):
    paths = [str(p) for p in write_series(tmp_path, SLICES)]
    layers = [layer for path in paths for layer in get_reader(path)(path)]
    assert [len(layer) for layer in layers] == [3, 1, 1, 1, 1]
    monkeypatch.setattr("napari_sslseg.app.readers._BURST_SECONDS", -1)
    assert [len(layer) for layer in get_reader(paths[0])(paths[0])] == [3]


def test_several_volumes_are_an_error_where_there_is_no_viewer_to_ask(tmp_path):
    for n in (1, 2):
        write_series(tmp_path, SLICES, series_number=n, prefix="ab"[n - 1])
    with pytest.raises(SeveralVolumesError, match="1 = made for a test"):
        get_reader(str(tmp_path))(str(tmp_path))


def test_chosen_volumes_are_added_and_none_if_none_is(tmp_path, monkeypatch):
    for n in (1, 2):
        write_series(tmp_path, SLICES + n, series_number=n, prefix="ab"[n - 1])
    monkeypatch.setattr("napari_sslseg.app.series_chooser.ask", lambda error: ["1", "2"])
    layers = get_reader(str(tmp_path))(str(tmp_path))
    assert [array.min() - SLICES.min() for array, _, _ in layers] == [1, 2]
    monkeypatch.setattr("napari_sslseg.app.series_chooser.ask", lambda error: [])
    assert get_reader(str(tmp_path))(str(tmp_path)) == [(None,)]


def test_part_of_a_file_is_remembered(tmp_path, monkeypatch):
    array = np.stack([SLICES] * 9, axis=-1)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    monkeypatch.setattr("napari_sslseg.app.series_chooser.ask", lambda error: ["3"])
    ((_, options, _),) = get_reader(str(tmp_path / "a.nii"))(str(tmp_path / "a.nii"))
    assert options["name"] == "a [3]"
    assert options["metadata"]["napari_sslseg"]["part"] == "3"


def test_window_of_the_file_is_used(tmp_path):
    image = nib.Nifti1Image(SLICES, np.eye(4))
    image.header["cal_min"], image.header["cal_max"] = -500, 20
    nib.save(image, tmp_path / "a.nii")
    (layer,) = add(ViewerModel(), tmp_path / "a.nii")
    assert tuple(layer.contrast_limits) == (-500, 20)


def test_remarks_on_a_file_are_shown(tmp_path, monkeypatch):
    image = nib.Nifti1Image(SLICES, None)
    nib.save(image, tmp_path / "a.nii")
    shown = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", shown.append)
    add(ViewerModel(), tmp_path / "a.nii")
    assert len(shown) == 1
    assert shown[0].startswith("a: The file does not say how it lies")


def test_large_zarr_is_lazy_at_several_resolutions(tmp_path, monkeypatch):
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr("napari_sslseg.formats.ome_zarr._EAGER_BYTES", 10)
    group = zarr.create_group(str(tmp_path / "a.zarr"))
    big = np.random.default_rng(0).integers(0, 255, (2, 8, 16, 16)).astype(np.uint8)
    for level in range(2):
        step = 2**level
        group.create_array(str(level), data=big[:, :, ::step, ::step], chunks=(1, 4, 4, 4))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    datasets = [
        {
            "path": str(n),
            "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2**n, 2**n]}],
        }
        for n in range(2)
    ]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": datasets}],
        "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]},
    }
    first, second = add(ViewerModel(), tmp_path / "a.zarr")
    assert (first.name, second.name) == ("a [DAPI]", "a [GFP]")
    assert first.multiscale
    assert [level.shape for level in second.data] == [(8, 16, 16), (8, 8, 8)]
    assert not isinstance(second.data[0], np.ndarray)
    assert np.array_equal(np.asarray(second.data[0]), big[1])


def test_damaged_file_is_named_in_one_sentence(tmp_path):
    (tmp_path / "seg.nii.gz").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"seg\.nii\.gz cannot be read as NIfTI"):
        get_reader(str(tmp_path / "seg.nii.gz"))(str(tmp_path / "seg.nii.gz"))


def test_pictures_in_a_folder_are_said_to_be_taken_as_slices(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    folder = tmp_path / "xrays"
    folder.mkdir()
    for number in (1, 2, 3):
        pillow.fromarray(np.full((20, 24), number, np.uint8)).save(folder / f"case{number}.png")
    remarks = read_volume(folder).warnings
    assert remarks == (
        "3 pictures are taken as the slices of one volume, in the order of their names. Separate "
        "pictures, such as X-rays of several people, are no volume.",
    )
    assert read_volume(folder / "case1.png").warnings == ()
