"""Surfaces: closed, outward, in the right place, as large as the mask."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.formats import FormatError, export
from napari_sslseg.formats.surfaces import surface, write_obj, write_stl
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import DIRECTIONS
from .conftest import _case as image_case

CLASSES = ClassTable([SegmentClass(1, "The liver", "#ff8000"), SegmentClass(3, "Box", "#0000ff")])
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def enclosed(corners):
    """Volume within triangles (n, 3, 3) that are anticlockwise from outside."""
    return np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6


def ball(shape=(24, 26, 28)):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
    return ((grid - np.reshape([11, 13, 15], (3, 1, 1, 1))) ** 2).sum(axis=0) < 64


def read_stl(path):
    content = path.read_bytes()
    triangles = np.frombuffer(content[84:], TRIANGLE)
    assert len(triangles) == int.from_bytes(content[80:84], "little")
    return content[:80], triangles


def test_surface_is_closed_outward_and_in_place():
    mask = ball()
    for name in DIRECTIONS:
        case = image_case(name)
        geometry = Geometry(case.affine, mask.shape)
        vertices, faces = surface(mask, geometry)
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        seen = {tuple(edge) for edge in edges.tolist()}
        assert len(seen) == len(edges)  # each edge once in each direction: closed, of one sense
        assert all((b, a) in seen for a, b in seen)
        size = mask.sum() * np.prod(case.spacing)
        assert 0.93 * size < enclosed(vertices[faces]) < size, name
        centre = geometry.position((11, 13, 15)) * (-1, -1, 1)
        middle = (vertices.max(axis=0) + vertices.min(axis=0)) / 2
        np.testing.assert_allclose(middle, centre, atol=1e-6)


def test_surface_at_the_edge_of_the_image_is_closed_half_a_voxel_outside():
    geometry = Geometry.from_lps(np.eye(3), (2.0, 3.0, 4.0), (10.0, 20.0, 30.0), (2, 3, 4))
    vertices, faces = surface(np.ones((2, 3, 4), bool), geometry)
    np.testing.assert_allclose(vertices.min(axis=0), (9.0, 18.5, 28.0))
    np.testing.assert_allclose(vertices.max(axis=0), (13.0, 27.5, 44.0))
    assert 0.5 * 24 * 24 < enclosed(vertices[faces]) < 24 * 24


def test_stl_says_its_space_and_holds_the_surface_in_millimetres(tmp_path):
    mask = ball()
    geometry = Geometry(np.diag([-500.0, 700.0, 900.0, 1.0]), mask.shape, "um")
    labels = mask.astype(np.uint8)
    write_stl(tmp_path / "a.stl", labels, Volume(labels, geometry), CLASSES, False)
    header, triangles = read_stl(tmp_path / "a.stl")
    assert b"SPACE=LPS" in header
    assert not header.startswith(b"solid")  # which would say that it is text
    corners = triangles["corners"].astype(float)
    size = mask.sum() * 0.5 * 0.7 * 0.9
    assert 0.93 * size < enclosed(corners) < size
    outward = corners.mean(axis=1) - corners.mean(axis=(0, 1))
    assert ((outward * triangles["normal"]).sum(axis=1) > 0).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(triangles["normal"], axis=1), 1, atol=1e-5)


def test_obj_has_an_object_and_a_colour_for_each_class(tmp_path):
    labels = ball().astype(np.uint8)
    labels[1:3, 1:3, 1:3] = 3
    geometry = Geometry(np.eye(4), labels.shape)
    write_obj(tmp_path / "a.obj", labels, Volume(labels, geometry), CLASSES, False)
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert "SPACE=LPS" in lines[0]
    assert [line for line in lines if line.startswith("o ")] == ["o The_liver", "o Box"]
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    start = lines.index("o Box")
    faces = np.array([s.split()[1:] for s in lines[start:] if s.startswith("f ")], int) - 1
    box = vertices[faces]
    np.testing.assert_allclose(box.reshape(-1, 3).min(axis=0), (-2.5, -2.5, 0.5))
    np.testing.assert_allclose(box.reshape(-1, 3).max(axis=0), (-0.5, -0.5, 2.5))
    assert 0 < enclosed(box) < 8
    assert "Kd 1.0000 0.5020 0.0000" in (tmp_path / "a.mtl").read_text()


def test_stl_is_one_file_a_class_whatever_was_asked(tmp_path):
    labels = ball().astype(np.uint8)
    labels[0, 0, 0] = 3
    volume = Volume(labels, Geometry(np.eye(4), labels.shape))
    paths = export(tmp_path / "a.stl", labels, volume, CLASSES)
    assert [p.name for p in paths] == ["a_The_liver.stl", "a_Box.stl"]
    assert len(read_stl(paths[1])[1]) == 8


def test_what_has_no_surface_is_refused(tmp_path):
    flat = np.ones((4, 5), np.uint8)
    plane = Volume(flat, Geometry.from_spacing((1.0, 1.0), (4, 5)))
    with pytest.raises(FormatError, match="a plane has no surface"):
        export(tmp_path / "a.stl", flat, plane, CLASSES)
    nothing = np.zeros((4, 5, 6), np.uint8)
    with pytest.raises(FormatError, match="nothing to export"):
        write_stl(
            tmp_path / "a.stl", nothing, Volume(nothing, Geometry(np.eye(4), (4, 5, 6))), CLASSES, 0
        )
