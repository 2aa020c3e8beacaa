"""DICOM-SEG as 3D Slicer reads it: through dcmqi, where it is installed (``pip install dcmqi``)."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("highdicom")

from .test_dicom_seg import export, series, some_labels

CONVERTER = shutil.which("segimage2itkimage")
pytestmark = pytest.mark.skipif(CONVERTER is None, reason="dcmqi is not installed")


def positions(image):
    found = np.argwhere(sitk.GetArrayFromImage(image) > 0)[:, ::-1]
    points = [image.TransformIndexToPhysicalPoint([int(i) for i in index]) for index in found]
    return np.array(sorted(np.round(points, 3).tolist()))


@pytest.mark.parametrize("name", ["xyz", "ZXy", "zYx-oblique"])
def test_the_converter_of_slicer_finds_every_voxel_name_colour_and_code(tmp_path, name):
    (tmp_path / "series").mkdir()
    volume = series(tmp_path / "series", name)
    labels = some_labels(volume)
    export(tmp_path / "seg.dcm", volume, labels)
    command = [CONVERTER, "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory", tmp_path]
    subprocess.run([*map(str, command), "--outputType", "nrrd"], check=True, capture_output=True)
    affine = volume.geometry.affine
    for path, class_id in zip(sorted(tmp_path.glob("*.nrrd")), (2, 5, 9), strict=True):
        world = np.argwhere(labels == class_id) @ affine[:3, :3].T + affine[:3, 3]
        expected = np.array(sorted(np.round(world * (-1, -1, 1), 3).tolist()))
        assert np.allclose(positions(sitk.ReadImage(str(path))), expected, atol=2e-3)
    about = [
        group[0] for group in json.loads((tmp_path / "meta.json").read_text())["segmentAttributes"]
    ]
    assert [a["SegmentLabel"] for a in about] == ["Left kidney", "Ödem 骨", "Blob"]
    assert [a["recommendedDisplayRGBValue"] for a in about][:2] == [[255, 0, 0], [0, 255, 128]]
    assert about[1]["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "79654002"
