"""Adding volumes to a project that is closed meanwhile."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.app import volume_adding

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def several(tmp_path):
    """Give a file of twelve volumes, of which the user has to choose."""
    path = tmp_path / "series.nii.gz"
    data = np.random.default_rng(0).integers(0, 99, (20, 18, 9, 12)).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return path


@pytest.fixture
def reading(monkeypatch):
    """Hold back what is read until it may go on; also tell of what is asked."""
    begun, go_on, asked = threading.Event(), threading.Event(), []
    read = volume_adding.read_volume

    def slowly(path, part):
        begun.set()
        assert go_on.wait(30)
        return read(path, part)

    monkeypatch.setattr(volume_adding, "read_volume", slowly)
    monkeypatch.setattr(volume_adding, "ask", lambda error: asked.append(error))
    yield begun, go_on, asked
    go_on.set()


def test_who_adds_a_file_of_several_volumes_is_asked(started, several, reading, until):
    _, panel = started
    _, go_on, asked = reading
    go_on.set()
    panel.cohort.add([several])
    until(lambda: bool(asked))


def test_each_volume_gets_the_axis_of_the_time_when_it_was_added(started, tmp_path, until):
    _, panel = started
    cohort = panel.cohort
    for axis in (2, 1):
        data = np.random.default_rng(axis).integers(0, 99, (20, 18, 9)).astype(np.int16)
        path = tmp_path / f"volume{axis}.nii.gz"
        nib.save(nib.Nifti1Image(data, np.eye(4)), path)
        panel.session.set_axis(axis)
        cohort.add([path])
        until(lambda: not cohort._adding.running)
    made = [cohort.cohort.open(key) for key in cohort.cohort.keys[1:]]
    assert {project.info.name: project.axis for project in made} == {"volume2": 2, "volume1": 1}


def test_nobody_is_asked_after_the_project_was_closed(started, several, reading, until):
    _, panel = started
    begun, go_on, asked = reading
    panel.cohort.add([several])
    adding = panel.cohort._adding
    until(begun.is_set)
    panel.close_session()
    assert adding.running
    go_on.set()
    until(lambda: not adding.running)
    assert not asked


def test_the_slider_of_an_added_volume_reaches_all_of_its_values(started, tmp_path, until):
    _, panel = started
    cohort = panel.cohort
    data = np.random.default_rng(0).gamma(2, 100, (20, 18, 9)).astype(np.float32)
    data[:4] = np.nan
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "map.nii.gz")
    cohort.add([tmp_path / "map.nii.gz"])
    until(lambda: not cohort._adding.running)
    (look,) = cohort.cohort.open(cohort.cohort.keys[1]).info.layer["channels"]
    np.testing.assert_allclose(look["range"], (np.nanmin(data), np.nanmax(data)))
    assert look["contrast_limits"][1] < look["range"][1]
