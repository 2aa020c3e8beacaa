"""Small pictures of slices: grey or in colours, with ink over them."""

from __future__ import annotations

import numpy as np

from napari_sslseg.app.thumbnails import slice_picture
from napari_sslseg.volume.classes import ClassTable

BLANK = np.full((6, 8), 255, dtype=np.uint8)
NONE = ClassTable.from_ids([])


def test_a_colour_image_keeps_its_colours():
    image = np.zeros((6, 8, 3), dtype=np.uint8)
    image[..., 0], image[..., 2] = 200, 40
    known = np.zeros_like(BLANK)  # stated background, which is drawn as the image is
    assert slice_picture(image, known, NONE, (0, 255))[3, 3].tolist() == [200, 0, 40]
    with_alpha = np.dstack([image, np.full((6, 8), 255, np.uint8)])
    assert slice_picture(with_alpha, known, NONE, (0, 255)).shape == (6, 8, 3)


def test_other_images_are_grey_between_their_limits():
    image = np.zeros((6, 8, 2), dtype=np.int16)
    image[..., 0] = 1000
    picture = slice_picture(image, np.zeros_like(BLANK), NONE, (0, 1000))
    assert picture[3, 3].tolist() == [127, 127, 127]


def test_ink_shines_through_and_what_is_not_annotated_is_darker():
    classes = ClassTable.from_ids([1])
    ink = BLANK.copy()
    ink[0] = 1
    picture = slice_picture(np.full((6, 8), 100.0), ink, classes, (0, 100))
    assert picture[3, 3].tolist() == [191, 191, 191]
    assert len(set(picture[0, 0].tolist())) > 1


def test_voxels_without_a_number_are_black():
    image = np.full((6, 8), 500.0)
    image[3, 3] = np.nan
    picture = slice_picture(image, np.zeros_like(BLANK), NONE, (0, 1000))
    assert picture[3, 3].tolist() == [0, 0, 0]
    assert picture[2, 2].tolist() == [127, 127, 127]
