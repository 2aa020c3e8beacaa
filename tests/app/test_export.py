"""The export step: formats, what they lose, the record, and nobody's name."""

from __future__ import annotations

import json
import logging
import shutil

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtWidgets import QFileDialog

from napari_sslseg.app.final_labels import final_maker
from napari_sslseg.app.readers import read_layers
from napari_sslseg.formats import FORMATS
from napari_sslseg.formats.provenance import ORIGINS

pytestmark = pytest.mark.usefixtures("without_window")

SECRETS = ("ecret", "Geheim", "19700101", "accession-of", "Doctor")


def exported(panel, path, until):
    panel.export.hint.setText("")
    panel.export.export_to(path)
    until(lambda: panel.export.hint.text().startswith(("Exported", "Not exported")), 30)
    return panel.export.hint.text()


def test_formats_are_offered_and_say_what_they_lose(started):
    _, panel = started
    section = panel.export
    assert [section.format.itemText(n) for n in range(section.format.count())] == [
        kind.title for kind in FORMATS
    ]
    assert section.kind.key == "nifti"
    section.choose_format("npy")
    assert "voxel size" in section.losses.text()
    assert not section.losses.isHidden()
    section.choose_format("tiff")
    assert section.losses.isHidden()  # the layer has no position or direction to lose
    section.choose_format("dicom-seg")
    assert "did not come from DICOM" in section.losses.text()
    assert not section.button.isEnabled()
    section.choose_format("stl")
    assert not section.per_class.isEnabled()
    section.choose_format("nrrd")
    assert section.per_class.isEnabled()


def test_voxels_are_counted_by_where_they_came_from(with_proposal, paint, until, tmp_path):
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    session.accept_slice(4)
    session.accept_slice(7)
    paint(session.references.layer, 7, np.eye(40, 44, dtype=bool), 255)  # no longer whole
    corner = np.zeros((40, 44), bool)
    corner[:3, :3] = True
    paint(layer, 2, corner, 1)
    assert exported(panel, tmp_path / "out.nii.gz", until).startswith("Exported to")
    assert panel.export.head.text().endswith("exported out.nii.gz")
    found = json.loads((tmp_path / "out.provenance.json").read_text())
    ink, truth = session.references.ink, panel.truth
    stated = ink != 255
    accepted = np.zeros(ink.shape, bool)
    accepted[4] = True
    labels = session.final_labels()
    corrected = np.zeros(ink.shape, bool)
    corrected[2][corner] = True
    origin = np.full(ink.shape, 4)
    origin[corrected] = 3
    origin[stated] = 1
    origin[accepted] = 2
    assert not stated[2].any()
    assert (labels != truth).sum() == 9
    for counts, class_id in ((found["classes"][0]["voxels"], 1), (found["background"], 0)):
        for code, name in enumerate(ORIGINS):
            assert counts[name] == ((labels == class_id) & (origin == code)).sum(), (name, class_id)
    assert found["accepted"] == {"axis": 0, "slices": [4]}
    assert found["references"]["slices"] == [1, 4, 6, 10]
    assert found["proposal"]["name"] == "SemSim"
    assert found["image"]["sha256"] == session.project.info.digest
    assert found["image"]["name"] == "cone"


def test_without_a_proposal_the_rest_is_unlabelled(started, paint):
    _, panel = started
    session = panel.session
    paint(session.references.layer, 1, panel.truth[1] == 1, 1)
    final = final_maker(session.references, None)()
    assert final.origins[0][0] == final.labels.size - (panel.truth[1] == 1).sum()
    assert final.origins[1][1] == (panel.truth[1] == 1).sum()


def test_one_file_for_each_class(with_proposal, until, tmp_path):
    _, panel = with_proposal
    panel.session.edit_class(1, name="Left atrium")
    panel.export.per_class.setChecked(True)
    assert "out_Left_atrium.nii.gz" in exported(panel, tmp_path / "out.nii.gz", until)
    image = nib.load(tmp_path / "out_Left_atrium.nii.gz")
    # Display axes are (S, P, L): NIfTI's world axes the other way round.
    assert np.array_equal(np.asanyarray(image.dataobj), panel.session.final_labels() == 1)
    assert nib.aff2axcodes(image.affine) == ("S", "P", "L")


def test_a_failed_export_is_one_sentence_and_loses_nothing(with_proposal, until, tmp_path):
    _, panel = with_proposal
    text = exported(panel, tmp_path / "missing" / "out.nii.gz", until)
    assert "does not exist; create it first." in text
    assert "Not exported" in exported(panel, tmp_path / "out.gif", until)
    assert list(tmp_path.glob("*.gif")) == []
    panel.export.choose_format("dicom-seg")
    assert "did not come from DICOM" in panel.export.button.toolTip()
    assert "did not come from DICOM" in exported(panel, tmp_path / "out.dcm", until)


@pytest.fixture
def scan(tmp_path):
    """Write a DICOM series whose headers say more than they ought to."""
    pytest.importorskip("highdicom")
    from ..formats.dicom_files import write_series

    def edit(out, n):
        out.PatientComments = "Geheimnis"
        out.OtherPatientNames = "Secret^Other"
        out.InstitutionName = "Geheim hospital"
        out.PerformingPhysicianName = "Geheim^Doctor"

    array = np.random.default_rng(0).integers(0, 500, (9, 20, 24)).astype(np.int16)
    write_series(tmp_path / "scan", array, step=(0, 0.0, 2.5), edit=edit)
    return tmp_path / "scan"


@pytest.fixture
def on_dicom(make_panel, scan, until, paint):
    """Open the series as a user would, and label a slice."""
    viewer, panel = make_panel()
    (data,) = read_layers(str(next(scan.iterdir())))
    image = viewer.add_layer(Layer.create(*data))
    panel.start(image, 0)
    until(lambda: panel.session is not None)
    references = panel.session.references
    mask = np.zeros(image.data.shape[1:], bool)
    mask[3:8, 5:11] = True
    paint(references.layer, 4, mask, 1)
    references.mark(4)
    panel.session.edit_class(1, name="Left kidney")
    panel.session.autosave.flush()
    return viewer, panel


def texts_in(folder):
    """All that is written in a folder, but for arrays of voxels."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".npy", ".journal"):
            yield path, path.read_bytes().decode("latin-1")


def test_segmentation_of_a_dicom_series(on_dicom, until, tmp_path):
    import highdicom as hd

    _, panel = on_dicom
    section = panel.export
    assert section.kind.key == "dicom-seg"
    assert section.losses.isHidden()
    assert section.button.isEnabled()
    assert exported(panel, tmp_path / "out.dcm", until).startswith("Exported to")
    found = hd.seg.segread(tmp_path / "out.dcm")
    assert found.SegmentSequence[0].SegmentLabel == "Left kidney"
    assert found.NumberOfFrames == 1
    # Display axes are S, P, L: with axial slices from below, those of the frames.
    assert np.argwhere(found.pixel_array).min(axis=0).tolist() == [3, 5]
    assert found.pixel_array.sum() == 30
    record = json.loads((tmp_path / "out.provenance.json").read_text())
    assert record["references"] == {"axis": 2, "slices": [4]}


def test_no_patient_in_records_logs_and_projects(on_dicom, until, tmp_path, caplog, capfd):
    _, panel = on_dicom
    with caplog.at_level(logging.DEBUG):
        for kind in FORMATS:
            panel.export.choose_format(kind.key)
            panel.export.anonymous.setChecked(True)
            (tmp_path / "out").mkdir()
            text = exported(panel, tmp_path / "out" / f"Jane_Doe{kind.suffixes[0]}", until)
            assert text.startswith("Exported"), text
            assert "Jane" not in (tmp_path / "out" / "Jane_Doe.provenance.json").read_text()
            for path in (tmp_path / "out").rglob("*"):
                if path.is_file():
                    content = path.read_bytes().decode("latin-1")
                    assert not [word for word in SECRETS if word in content], path
            shutil.rmtree(tmp_path / "out")
    said = caplog.text + "".join(capfd.readouterr())
    assert not [word for word in SECRETS if word in said]
    panel.session.autosave.flush()
    checked = dict(texts_in(panel.session.project.path))
    assert any(path.name == "project.json" for path in checked)
    for path, content in checked.items():
        assert not [word for word in SECRETS if word in content], path


def test_named_export_says_the_patient_only_in_dicom(on_dicom, until, tmp_path):
    import pydicom

    _, panel = on_dicom
    exported(panel, tmp_path / "out.dcm", until)
    data = pydicom.dcmread(tmp_path / "out.dcm")
    assert data.PatientID == "id-of-secret-patient"
    assert "PatientComments" not in data
    assert "InstitutionName" not in data
    content = (tmp_path / "out.provenance.json").read_text()
    assert not [word for word in SECRETS if word in content]


def test_too_long_a_name_is_said(with_proposal, monkeypatch, until, tmp_path):
    _, panel = with_proposal
    path = tmp_path / ("x" * 300 + ".nii.gz")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    panel.export.button.click()
    until(lambda: panel.export.hint.text().startswith("Not exported"), 30)
    assert "the name is too long; choose a shorter one" in panel.export.hint.text()
