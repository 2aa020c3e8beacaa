"""A file that was written anew since a project was made of it: that is told, nothing is lost."""

from __future__ import annotations

import os
import shutil

import nibabel as nib
import numpy as np
import pytest
import tifffile
from napari.layers import Layer
from pydicom.uid import generate_uid

from napari_sslseg.app import volume_showing
from napari_sslseg.app.channels import channels_of
from napari_sslseg.app.image_source import read_layer
from napari_sslseg.app.readers import read_volume, volume_layers
from napari_sslseg.app.rewritten_source import look_at_source
from napari_sslseg.formats import read
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import Project

from ..formats.dicom_files import write_series
from .conftest import make_volume

SHAPE = (12, 20, 22)


def values(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape, dtype=np.uint8)


def save(path, array: np.ndarray, slice_distance: float = 2.0) -> None:
    affine = np.diag([1.0, 1.0, slice_distance, 1.0])
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0).copy(), affine), path)


def project_of(path, folder) -> Project:
    """Return a project that is made of a file as the panel does it."""
    layers = [Layer.create(*data) for data in volume_layers(read_volume(path))]
    array, info = read_layer(layers[0], channels_of(layers, layers[0]))
    return Project.create(folder, np.asarray(array), info, ClassTable(), 0)


def test_another_image_in_the_file_is_told_with_what_differs_and_what_to_do(tmp_path):
    path = tmp_path / "heart.nii"
    save(path, values())
    project = project_of(path, tmp_path / "project")
    assert look_at_source(project).trouble == ""
    changed = values()
    changed[7, 3, 3] += 1
    for array, distance, reason in (
        (changed, 2.0, ": its voxels have other values. Your labels stay"),
        (values(shape=(11, 20, 22)), 2.0, ": its shape is 22 × 20 × 11, the image's 22 × 20 × 12"),
        (values(), 3.0, ": its voxels measure 1 × 1 × 3 mm, the image's 1 × 1 × 2 mm"),
    ):
        save(path, array, distance)
        found = look_at_source(project)
        assert str(path) in found.trouble
        assert reason in found.trouble
        assert "start a new one" in found.trouble
        assert found.state is None
    path.write_bytes(b"no image")
    assert look_at_source(project).trouble == ""
    path.unlink()
    assert look_at_source(project).trouble == ""


def test_a_file_that_was_looked_at_is_not_read_again_until_the_disk_says_otherwise(
    tmp_path, monkeypatch
):
    path = tmp_path / "heart.nii.gz"
    save(path, values())
    project = project_of(path, tmp_path / "project")
    look_at_source(project).remember(project)
    project.save()
    project = Project.open(project.path)
    reads = []
    monkeypatch.setattr(
        "napari_sslseg.app.rewritten_source.read", lambda *a: reads.append(a) or read(*a)
    )
    assert look_at_source(project).state is None
    assert reads == []
    # Another image, as long and as old as the one before: so a copy may be.
    before = path.stat()
    other = tmp_path / "other.nii.gz"
    save(other, values(seed=1))
    shutil.copy2(other, path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "other values" in look_at_source(project).trouble
    save(path, values())
    assert look_at_source(project).trouble == "", "it is the same image again"


def test_channels_colours_and_several_files_are_compared_as_they_were_taken(tmp_path):
    stains = tmp_path / "stains.tif"
    tifffile.imwrite(stains, values(shape=(4, 2, 20, 22)), imagej=True, metadata={"axes": "ZCYX"})
    colours = tmp_path / "colours.tif"
    tifffile.imwrite(colours, values(shape=(4, 20, 22, 3)), photometric="rgb")
    series = tmp_path / "series"
    uid = generate_uid()
    slices = write_series(series, values().astype(np.int16), series=uid)
    for number, path in enumerate((stains, colours, series)):
        project = project_of(path, tmp_path / f"project {number}")
        found = look_at_source(project)
        assert found.trouble == ""
        found.remember(project)
        assert look_at_source(project).state is None
    tifffile.imwrite(colours, values(1, (4, 20, 22, 3)), photometric="rgb")
    assert "other values" in look_at_source(Project.open(tmp_path / "project 1")).trouble
    changed = values().astype(np.int16)
    changed[7] += 1  # not in the file that stands for the series, but in one of its others
    shutil.copy(write_series(tmp_path / "new", changed, series=uid)[7], slices[7])
    assert "other values" in look_at_source(project).trouble


@pytest.mark.usefixtures("without_window")
def test_who_goes_on_with_the_project_is_told_and_keeps_labels_on_their_image(
    make_panel, tmp_path, until, all_read, monkeypatch, paint
):
    told: list[str] = []
    monkeypatch.setattr(volume_showing, "show_warning", told.append)
    path = tmp_path / "cone.nii.gz"
    save(path, make_volume()[0])
    viewer, panel = make_panel()
    panel.volume.open_image.open(path)
    until(lambda: len(viewer.layers) == 1)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    some = np.zeros((40, 44), bool)
    some[3:8, 3:8] = True
    paint(panel.session.references.layer, 5, some, 1)
    project = panel.session.project.path

    def go_on() -> None:
        panel.close_session()
        viewer.layers.clear()
        panel.volume.open_image.open(path)
        until(lambda: len(viewer.layers) == 1)
        panel.open(project)
        until(lambda: panel.session is not None)
        all_read()

    go_on()
    assert told == []
    changed = make_volume()[0]
    changed[7, 20, 20] += 1  # one slice of twelve, and one voxel
    save(path, changed)
    go_on()
    assert len(told) == 1
    assert "holds another image" in told[0]
    kept = Project.open(project).image()
    assert kept.max() == make_volume()[0].max()
    np.testing.assert_array_equal(panel.session.image.data, kept)
    assert (panel.session.references.ink[5][some] == 1).all()
