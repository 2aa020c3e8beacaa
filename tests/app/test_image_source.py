"""From layers to projects and back to files."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_sslseg.app.image_source import (
    ImageError,
    adopt_ink,
    default_axis,
    finest,
    level_axes,
    new_project_path,
    read_layer,
    spacing_of,
    suitable,
)
from napari_sslseg.app.starting import make_first_project


def test_ink_with_statements_is_adopted_as_it_is():
    data = np.full((3, 4, 5), 255, dtype=np.uint8)
    data[1] = 0
    data[1, 2, 2] = 7
    assert np.array_equal(adopt_ink(Labels(data.astype(np.int32))), data)


def test_zero_in_an_ordinary_labels_layer_is_no_statement():
    data = np.zeros((3, 4, 5), dtype=np.uint16)
    data[1, 2, 2] = 7
    ink = adopt_ink(Labels(data))
    assert ink[1, 2, 2] == 7
    assert (np.delete(ink.ravel(), np.ravel_multi_index((1, 2, 2), ink.shape)) == 255).all()


@pytest.mark.parametrize("value", [256, 70000, -1])
def test_labels_that_do_not_fit_are_refused_not_wrapped(value):
    data = np.zeros((3, 4, 5), dtype=np.int32)
    data[0, 0, 0] = value
    with pytest.raises(ImageError, match="class ids are 0 to"):
        adopt_ink(Labels(data))


def test_what_is_no_volume_is_said():
    assert "Open Files as Stack" in suitable(Image(np.zeros((4, 5))))
    assert "Split Stack" in suitable(Image(np.zeros((2, 3, 4, 5))))
    assert "flat" in suitable(Image(np.zeros((1, 4, 5))))
    assert suitable(Image(np.zeros((3, 4, 5)))) == ""
    assert suitable(Image(np.zeros((3, 4, 5, 3), dtype=np.uint8), rgb=True)) == ""
    with pytest.raises(ImageError, match="no number in any voxel"):
        read_layer(Image(np.full((3, 4, 5), np.nan), contrast_limits=(0, 1)))


def test_a_channel_without_any_number_is_named():
    channels = [Image(np.ones((3, 4, 5), np.float32), name=name) for name in ("t1", "t2", "adc")]
    channels[1].data = np.full((3, 4, 5), np.inf, np.float32)
    with pytest.raises(ImageError, match=r"^“t2” holds no number in any voxel.* leave it out of"):
        read_layer(channels[0], channels)


def test_colours_become_channels_and_the_place_is_kept():
    layer = Image(np.zeros((3, 4, 5, 3), dtype=np.uint8), rgb=True, scale=(3, 1, 1), name="x")
    array, info = read_layer(layer)
    assert array.shape == (3, 4, 5, 3)
    assert (info.channels, info.rgb, info.shape) == (3, True, (3, 4, 5))
    assert info.spacing == (3, 1, 1)


def test_thick_slices_are_the_slicing_axis():
    assert default_axis((1.0, 1.0, 5.0)) == 2
    assert default_axis((1.0, 1.0, 1.0)) == 0
    assert default_axis((0.9, 1.0, 1.0)) == 0


def turned(axis: int, degrees: float) -> np.ndarray:
    """Return the affine that turns a volume around one of its axes."""
    a, b = (i for i in range(3) if i != axis)
    affine, angle = np.eye(4), np.radians(degrees)
    affine[[a, b], [a, b]] = np.cos(angle)
    affine[a, b], affine[b, a] = -np.sin(angle), np.sin(angle)
    return affine


def test_voxels_measure_what_all_transforms_of_the_layer_say():
    data = np.zeros((3, 4, 5))
    assert spacing_of(Image(data, scale=(2, 0.7, 1), translate=(1e5, 3, 4))) == (2, 0.7, 1)
    affine = np.diag([5, 0.5, 0.5, 1])
    assert spacing_of(Image(data, affine=affine)) == (5, 0.5, 0.5)
    assert read_layer(Image(data, affine=affine))[1].spacing == (5, 0.5, 0.5)
    both = affine @ turned(0, 30) @ np.diag([1, 2, 1, 1])
    np.testing.assert_allclose(spacing_of(Image(data, affine=both)), (5, 1, 0.5))
    layer = Image(data, scale=(3, 2, 1), rotate=turned(0, 30)[:3, :3], affine=2 * np.eye(4))
    np.testing.assert_allclose(spacing_of(layer), (6, 4, 2))


def test_the_finest_of_several_resolutions_is_the_image():
    levels = [np.ones((8, 6, 4)), np.zeros((4, 3, 2))]
    assert finest(Image(levels, multiscale=True)) is levels[0]
    assert finest(Image(levels[1])) is levels[1]


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_layers_out_of_their_slices_are_refused_before_a_stroke_goes_astray(home):
    data = np.zeros((30, 40, 50), np.uint8)
    assert level_axes(Image(data, scale=(-3, 1, 1), translate=(1e4, 0, 0))) == [0, 1, 2]
    assert level_axes(Image(data, affine=turned(1, 1e-4))) == [0, 1, 2]
    in_plane = Image(data, affine=turned(1, 30), name="x")
    assert level_axes(in_plane) == [1]
    assert suitable(in_plane) == ""
    with pytest.raises(ImageError, match="choose the second entry") as caught:
        make_first_project(in_plane, [], 0, None)
    assert str(caught.value).count(". ") == 0
    assert not home.exists()
    assert make_first_project(in_plane, [], 1, None)[0].axis == 1
    for affine in (turned(0, 10) @ turned(1, 10), turned(0, 90) @ turned(1, 90)):
        oblique = Image(data, affine=affine, name="x")
        assert level_axes(oblique) == []
        assert "open its file with napari-sslseg" in suitable(oblique)
        with pytest.raises(ImageError, match="rotated or sheared out of its slices"):
            make_first_project(oblique, [], 0, None)
    sheared = Image(data, shear=(0.2, 0, 0))
    assert level_axes(sheared) == [2]


def test_projects_never_share_a_folder(home):
    first = new_project_path("A scan: No. 1")
    first.mkdir(parents=True)
    second = new_project_path("A scan: No. 1")
    assert first != second
    assert first.parent == second.parent == home
    assert first.name.startswith("A-scan-No-1-")
