"""A real volume to try things on: the front half of a brain template, with its tissues.

See ``NOTICE`` in this folder for where it comes from and on what terms, and
``scripts/make_sample.py`` for how it was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..formats import read, read_labels

if TYPE_CHECKING:
    from ..volume.image import Volume

#: Names of the classes in the labels, by class id.
CLASS_NAMES = {1: "Grey matter", 2: "White matter"}

_FOLDER = Path(__file__).parent
IMAGE = _FOLDER / "brain_t1.nii.gz"
LABELS = _FOLDER / "brain_labels.nii.gz"


def load() -> tuple[Volume, Volume]:
    """Return the T1-weighted image and its labels (0 background, 1 grey, 2 white matter).

    Returns
    -------
    image : Volume
        uint8, shape (144, 96, 56), RAS+, 1 mm.
    labels : Volume
        uint8, of the same geometry.
    """
    return read(IMAGE), read_labels(LABELS)
