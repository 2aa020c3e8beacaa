"""The plugin manifest: valid, complete, and one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

from napari_sslseg.formats import suffixes, writable_suffixes
from napari_sslseg.sample import IMAGE

from .formats.dicom_files import write_series

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / "napari.yaml"


@pytest.fixture
def manifest():
    return PluginManifest.from_file(MANIFEST)


@pytest.fixture
def plugin(manifest):
    """Napari with the plugin, whether it is installed or not."""
    manager = PluginManager.instance()
    known = manifest.name in manager._manifests
    if not known:
        manager.register(manifest)
    yield manifest.name
    if not known:
        manager.unregister(manifest.name)


def test_manifest_is_valid_and_every_command_can_be_imported(manifest):
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        module = command.python_name.split(":")[0]
        assert find_spec(module) is not None


def test_package_copy_is_the_manifest():
    copy = ROOT / "napari_sslseg" / "napari.yaml"
    if not copy.exists():
        pytest.skip("not installed from this checkout")
    assert copy.read_text(encoding="utf-8") == MANIFEST.read_text(encoding="utf-8")


def test_reader_and_writers_name_all_suffixes(manifest):
    # Pictures and arrays are left to napari's own reader; the panel opens them.
    wanted = set(suffixes()) - {".npy", ".png", ".jpg", ".jpeg", ".bmp"} | {"DICOMDIR"}
    (reader,) = manifest.contributions.readers
    assert {pattern.removeprefix("*") for pattern in reader.filename_patterns} == wanted
    assert reader.accepts_directories
    for writer in manifest.contributions.writers:
        assert set(writer.filename_extensions) == set(writable_suffixes()) - {".npy"}


def test_napari_opens_and_saves_through_the_plugin(plugin, tmp_path):
    viewer = ViewerModel()
    (image,) = viewer.open(IMAGE, plugin=plugin)
    assert image.data.shape == (56, 96, 144)
    layer = viewer.add_labels(
        (np.asarray(image.data) > 100).astype(np.uint8),
        scale=image.scale,
        translate=image.translate,
        metadata=image.metadata,
    )
    path = str(tmp_path / "seg.nii.gz")
    assert layer.save(path, plugin=plugin) == [path]
    (back,) = viewer.open(path, plugin=plugin)
    assert back._type_string == "labels"
    assert np.array_equal(back.data, layer.data)
    assert np.array_equal(back.extent.world, image.extent.world)


def test_napari_opens_a_folder_of_dicom_files(plugin, tmp_path):
    slices = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    write_series(tmp_path / "series", slices, pixel_spacing=(2, 3), step=(0, 0, 4))
    viewer = ViewerModel()
    (layer,) = viewer.open(str(tmp_path / "series"), plugin=plugin)
    assert np.array_equal(layer.data, slices)
    assert tuple(layer.scale) == (4, 2, 3)


def test_napari_opens_the_samples(plugin):
    viewer = ViewerModel()
    viewer.open_sample(plugin, "brain_with_references")
    assert [layer.name for layer in viewer.layers] == ["Brain T1", "References"]
    viewer.open_sample(plugin, "brain")
    assert len(viewer.layers) == 3
