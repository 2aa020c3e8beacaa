"""Letters at the edges of the canvas: always the patient's, however the slices are looked at."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_sslseg.app.orientation_letters import OrientationLetters, letters_in_view
from napari_sslseg.app.readers import get_reader
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.letters import EdgeLetters, edge_letters

#: What radiologists see, and what lies at the edges of the other two kinds of slices.
SHOWN = {
    (0, 1, 2): EdgeLetters("A", "P", "R", "L"),
    (1, 0, 2): EdgeLetters("I", "S", "R", "L"),
    (2, 0, 1): EdgeLetters("I", "S", "A", "P"),
    (0, 2, 1): EdgeLetters("R", "L", "A", "P"),
    (1, 2, 0): EdgeLetters("R", "L", "I", "S"),
    (2, 1, 0): EdgeLetters("A", "P", "I", "S"),
}


def affine_of(permutation, signs, tilt=0.0):
    axes = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(permutation, signs, strict=True)):
        axes[world, axis] = sign
    c, s = np.cos(tilt), np.sin(tilt)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ axes * (0.8, 1.5, 4.0)
    return affine


def opened(viewer, path, affine):
    nib.save(nib.Nifti1Image(np.zeros((6, 7, 8), np.int16), affine), path)
    (data,) = get_reader(str(path))(str(path))
    return viewer.add_layer(Layer.create(*data))


def on_canvas(viewer):
    overlays = viewer.canvas.overlays
    shown = {edge: overlays[f"napari_sslseg_{edge}"] for edge in ("top", "bottom", "left", "right")}
    return EdgeLetters(**{e: o.text if o.visible else "" for e, o in shown.items()})


@pytest.mark.parametrize("order", SHOWN)
@pytest.mark.parametrize(
    ("permutation", "signs"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1))]
)
def test_every_axis_and_order_has_its_letters(tmp_path, order, permutation, signs):
    viewer = ViewerModel()
    letters = OrientationLetters(viewer)
    letters.show(opened(viewer, tmp_path / "a.nii", affine_of(permutation, signs)))
    viewer.dims.order = order
    assert on_canvas(viewer) == SHOWN[order]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_oblique_slices_have_the_letters_of_their_geometry(tmp_path, order):
    affine = affine_of((1, 2, 0), (1, -1, 1), tilt=0.4)
    viewer = ViewerModel()
    letters = OrientationLetters(viewer)
    letters.show(opened(viewer, tmp_path / "a.nii", affine))
    viewer.dims.order = order
    shown = Geometry(affine, (6, 7, 8)).canonical().geometry
    expected = edge_letters(shown, order[1], order[2])
    assert on_canvas(viewer) == expected
    assert any(len(getattr(expected, edge)) > 1 for edge in ("top", "left"))


@pytest.mark.parametrize("orientation", [("up", "right"), ("down", "left"), ("up", "left")])
def test_letters_follow_a_camera_that_mirrors(tmp_path, orientation):
    viewer = ViewerModel()
    letters = OrientationLetters(viewer)
    letters.show(opened(viewer, tmp_path / "a.nii", np.eye(4)))
    viewer.scene.camera.orientation2d = orientation
    top, bottom = ("P", "A") if orientation[0] == "up" else ("A", "P")
    left, right = ("L", "R") if orientation[1] == "left" else ("R", "L")
    assert on_canvas(viewer) == EdgeLetters(top, bottom, left, right)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 50, 50), 0.1
    assert on_canvas(viewer) == EdgeLetters(top, bottom, left, right)


def test_letters_are_hidden_where_they_would_be_wrong(tmp_path):
    viewer = ViewerModel()
    letters = OrientationLetters(viewer)
    plain = viewer.add_image(np.zeros((4, 5, 6)))
    letters.show(plain)
    assert on_canvas(viewer) == EdgeLetters()
    image = opened(viewer, tmp_path / "a.nii", np.eye(4))
    letters.show(image)
    assert on_canvas(viewer) == SHOWN[0, 1, 2]
    viewer.dims.ndisplay = 3
    assert on_canvas(viewer) == EdgeLetters()
    viewer.dims.ndisplay = 2
    assert on_canvas(viewer) == SHOWN[0, 1, 2]
    image.rotate = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert on_canvas(viewer) == EdgeLetters()
    image.rotate = np.eye(3)
    image.scale = (1, -1, 1)
    assert on_canvas(viewer) == EdgeLetters("P", "A", "R", "L")


def test_axes_of_other_layers_do_not_shift_the_letters(tmp_path):
    viewer = ViewerModel()
    image = opened(viewer, tmp_path / "a.nii", np.eye(4))
    viewer.add_image(np.zeros((3, 4, 5, 6)))
    viewer.dims.order = (0, 2, 1, 3)
    assert letters_in_view(viewer, image) == SHOWN[1, 0, 2]
    viewer.dims.order = (1, 2, 0, 3)  # time runs downwards
    assert letters_in_view(viewer, image) == EdgeLetters()


def test_planes_have_letters(tmp_path):
    viewer = ViewerModel()
    path = tmp_path / "plane.nii"
    nib.save(nib.Nifti1Image(np.zeros((6, 7), np.int16), np.diag([-1.0, -1, 1, 1])), path)
    (data,) = get_reader(str(path))(str(path))
    letters = OrientationLetters(viewer)
    letters.show(viewer.add_layer(Layer.create(*data)))
    assert on_canvas(viewer) == EdgeLetters("A", "P", "R", "L")


def test_removed_letters_leave_nothing_behind(tmp_path):
    viewer = ViewerModel()
    before = set(viewer.canvas.overlays)
    letters = OrientationLetters(viewer)
    letters.show(opened(viewer, tmp_path / "a.nii", np.eye(4)))
    letters.remove()
    viewer.dims.order = (1, 0, 2)
    assert set(viewer.canvas.overlays) == before


def test_panel_shows_the_letters_of_the_chosen_image(make_panel, tmp_path):
    viewer, _ = make_panel()
    assert on_canvas(viewer) == EdgeLetters()
    opened(viewer, tmp_path / "a.nii", affine_of((2, 0, 1), (1, 1, -1)))
    assert on_canvas(viewer) == SHOWN[0, 1, 2]
    viewer.dims.order = (2, 0, 1)
    assert on_canvas(viewer) == EdgeLetters("S", "I", "A", "P")  # the panel turns the head up
    viewer.layers.clear()
    assert on_canvas(viewer) == EdgeLetters()


def test_letters_go_with_the_panel(make_napari_viewer, home, tmp_path, qtbot):
    from napari_sslseg.app.panel import LoopPanel

    viewer = make_napari_viewer()
    opened(viewer, tmp_path / "a.nii", np.eye(4))
    panel = LoopPanel(viewer)
    dock = viewer.window.add_dock_widget(panel, name="Segment a volume")
    assert on_canvas(viewer) == SHOWN[0, 1, 2]
    viewer.window.remove_dock_widget(dock)
    panel.deleteLater()
    qtbot.waitUntil(lambda: "napari_sslseg_top" not in viewer.canvas.overlays)
