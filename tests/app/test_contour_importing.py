"""RT structure sets come into a session: which of their regions, and as which classes."""

from __future__ import annotations

import numpy as np
import pytest

from ..formats.dicom_files import write_series, write_structure_set
from .label_files import answer, choose

pytestmark = pytest.mark.usefixtures("without_window")

SHAPE = (6, 20, 24)


def square(low, high, z):
    """Corners half way between the pixels low - 1 and low, and high - 1 and high; 2 mm a slice."""
    a, b = low - 0.5, high - 0.5
    return np.array([(a, a, 2 * z), (b, a, 2 * z), (b, b, 2 * z), (a, b, 2 * z)])


def drawn(value, low, high, slices):
    labels = np.full(SHAPE, 255, np.uint8)
    for z in slices:
        labels[z] = 0
        labels[z, low:high, low:high] = value
    return labels


@pytest.fixture
def on_dicom(make_panel, until, tmp_path):
    """Give the panel of a session on a DICOM series."""
    image = np.random.default_rng(0).integers(0, 300, SHAPE).astype(np.int16)
    write_series(tmp_path / "ct", image, modality="CT", description="thorax", step=(0, 0, 2))
    viewer, panel = make_panel()
    panel.volume.open_image.open(tmp_path / "ct")
    until(lambda: "thorax" in viewer.layers)
    until(panel.volume.start.isEnabled)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    return panel


def clinical(path, **options):
    """Write a set of many regions: the body, an organ with a target in it, and what holds all."""
    regions = {"BODY": [square(0, 20, z) for z in range(6)]}
    regions["Heart"] = [square(3, 12, z) for z in (1, 3)]
    regions["GTV"] = [square(5, 8, z) for z in (1, 3)]
    regions["Heart copy"] = regions["Heart"]
    regions |= {f"Ring {n}": [square(14, 18, 2)] for n in range(3)}
    return write_structure_set(path, regions, kinds={"BODY": "EXTERNAL"}, **options)


def test_of_many_regions_those_that_are_wanted_come_in(on_dicom, monkeypatch, until, tmp_path):
    session, widget = on_dicom.session, on_dicom.volume.label_import
    path = clinical(tmp_path / "plan.dcm")
    choose(monkeypatch, on_dicom, path, 0, until)
    chooser = widget.chooser
    assert "plan.dcm has 7 regions" in chooser.text.text()
    assert {box.currentText() for box in chooser.boxes.values()} == {"Leave out"}
    assert not chooser.import_button.isEnabled()
    # Its ids follow that of the class that is there. What other regions lie over is whole.
    answer(chooser, until, widget, _3="New class “Heart”")
    assert np.array_equal(session.references.ink, drawn(session.classes.ids[-1], 3, 12, (1, 3)))
    heart = session.classes[session.classes.ids[-1]]
    assert (heart.name, heart.color) == ("Heart", "#ff2800")
    assert session.references.references() == [1, 3]
    assert widget.hint.text().startswith("2 slices (1, 3) of plan.dcm are References now")
    assert "overlap" not in widget.hint.text()


def test_few_regions_are_new_classes_but_for_the_body(on_dicom, monkeypatch, until, tmp_path):
    session, widget = on_dicom.session, on_dicom.volume.label_import
    regions = {"BODY": [square(0, 20, z) for z in range(6)], "Heart": [square(3, 12, 2)]}
    regions["GTV"] = [square(5, 8, 2)]
    path = write_structure_set(
        tmp_path / "plan.dcm", regions, frame="1.2.3", kinds={"BODY": "EXTERNAL"}
    )
    choose(monkeypatch, on_dicom, path, 1, until)
    texts = [box.currentText() for box in widget.chooser.boxes.values()]
    assert texts == ["Leave out", "New class “Heart”", "New class “GTV”"]
    answer(widget.chooser, until, widget)
    until(lambda: "imported" in session.proposals)
    until(lambda: "correct and accept it" in widget.hint.text())
    heart, gtv = session.classes.ids[-2:]
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[2, 3:12, 3:12], wanted[2, 5:8, 5:8] = heart, gtv
    assert np.array_equal(session.proposals["imported"].layer.data, wanted)
    assert "Regions overlap (Heart with GTV)" in widget.hint.text()
    assert "another frame of reference than the image" in widget.hint.text()


def test_regions_called_as_the_classes_are_need_no_question(on_dicom, monkeypatch, until, tmp_path):
    session, widget = on_dicom.session, on_dicom.volume.label_import
    session.edit_class(1, name="heart")
    path = write_structure_set(tmp_path / "plan.dcm", {"Heart": [square(3, 12, 2)]})
    hint = choose(monkeypatch, on_dicom, path, 0, until)
    assert widget.chooser is None
    assert "matched by their names" in hint.text()
    assert np.array_equal(session.references.ink, drawn(1, 3, 12, (2,)))


def test_outlines_of_another_axis_turn_the_slices(on_dicom, monkeypatch, until, tmp_path):
    session, widget = on_dicom.session, on_dicom.volume.label_import
    sagittal = square(1, 5, 4)[:, [2, 0, 1]] * [1, 1, 2]  # 8 mm to the left
    path = write_structure_set(tmp_path / "plan.dcm", {"Heart": [sagittal]})
    choose(monkeypatch, on_dicom, path, 0, until)
    answer(widget.chooser, until, widget)
    assert session.project.axis == 2
    assert session.references.references() == [8]


def test_a_bad_structure_set_is_one_sentence(on_dicom, monkeypatch, until, tmp_path):
    path = write_structure_set(tmp_path / "plan.dcm", {"Heart": [square(3, 12, 200)]})
    hint = choose(monkeypatch, on_dicom, path, 0, until)
    assert hint.text().startswith("Not imported: ")
    assert "beyond the image" in hint.text()
    assert (on_dicom.session.references.ink == 255).all()
