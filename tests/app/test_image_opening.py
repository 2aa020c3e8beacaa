"""*Open*: files and folders become layers, ready to be labelled."""

from __future__ import annotations

import numpy as np
import pytest

from ..formats.dicom_files import write_series

pytestmark = pytest.mark.usefixtures("without_window")

SLICES = np.random.default_rng(0).integers(-1000, 300, (5, 6, 7)).astype(np.int16)


def test_folder_becomes_the_image_to_start_with(make_panel, until, tmp_path):
    write_series(tmp_path / "ct", SLICES, modality="CT", description="thorax")
    viewer, panel = make_panel()
    viewer.add_image(np.zeros((4, 5, 6)), name="other")
    section = panel.volume
    section.open_image.open(tmp_path / "ct")
    assert not section.start.isEnabled()
    assert "Reading ct" in section.hint.text()
    until(lambda: "thorax" in viewer.layers)
    until(section.start.isEnabled)
    assert section.image.currentText() == "thorax"
    assert viewer.layers["thorax"].data.shape == (5, 6, 7)
    section.start.click()
    until(lambda: panel.session is not None)
    assert panel.session.project.info.source.endswith(".dcm")
    assert not section.open_image.isVisible()


def test_series_is_chosen(make_panel, until, tmp_path, monkeypatch):
    for n in (1, 2):
        write_series(tmp_path, SLICES, series_number=n, prefix="ab"[n - 1], description=f"s{n}")
    asked = []

    def choose(error, parent):
        asked.append([choice.key for choice in error.choices])
        return ["2"]

    monkeypatch.setattr("napari_sslseg.app.image_opening.ask", choose)
    viewer, panel = make_panel()
    panel.volume.open_image.open(tmp_path)
    until(lambda: len(viewer.layers) > 0)
    assert asked == [["1", "2"]]
    assert [layer.name for layer in viewer.layers] == ["s2"]


def test_damaged_file_is_said_in_a_sentence(make_panel, until, tmp_path, monkeypatch):
    (tmp_path / "a.nii").write_bytes(b"nothing")
    shown = []
    monkeypatch.setattr("napari_sslseg.app.image_opening.show_warning", shown.append)
    viewer, panel = make_panel()
    panel.volume.open_image.open(tmp_path / "a.nii")
    until(lambda: bool(shown))
    assert "a.nii cannot be read as NIfTI" in shown[0]
    assert len(viewer.layers) == 0
    assert panel.volume.open_image.isEnabled()


def test_what_is_remarkable_is_said_under_the_image_it_is_about(
    make_panel, until, tmp_path, monkeypatch
):
    popped = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", popped.append)
    write_series(tmp_path / "ct", SLICES, modality="CT", description="head", step=(0, 0.2, 1))
    viewer, panel = make_panel()
    section = panel.volume
    section.open_image.open(tmp_path / "ct")
    until(lambda: "head" in viewer.layers)
    assert section.remarks.text().startswith("The gantry was tilted by")
    assert section.remarks.isVisibleTo(section)
    assert not popped
    other = viewer.add_image(np.zeros((4, 5, 6)), name="other")
    section.image.setCurrentIndex(section.image.findData(other))
    assert section.remarks.text() == ""
    section.image.setCurrentIndex(section.image.findData(viewer.layers["head"]))
    section.start.click()
    until(lambda: panel.session is not None)
    assert section.remarks.text() == ""
    project = (panel.session.project.path / "project.json").read_text(encoding="utf-8")
    assert "gantry" not in project


def test_file_without_permission_is_no_damaged_file(make_panel, until, monkeypatch, tmp_path):
    (path,) = write_series(tmp_path / "ct", SLICES[:1], modality="CT")
    shown = []
    monkeypatch.setattr("napari_sslseg.app.image_opening.show_warning", shown.append)

    def refuse(file, *args, **options):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("napari_sslseg.formats.dicom_opening.mapped", refuse)
    _, panel = make_panel()
    panel.volume.open_image.open(path)
    until(lambda: bool(shown))
    assert shown == [f"{path} may not be read; change its permissions."]
