"""Images whose geometry covers what files hold: all orientations, obliques, odd spacing."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SHAPE = (4, 5, 6)
SPACING = (0.7, 1.3, 5.0)
ORIGIN = (12.5, -30.25, 7.125)


def rotation(angles):
    """Rotation about x, then y, then z."""
    out = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [w for w in range(3) if w != axis]
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        out = turn @ out
    return out


def directions():
    """Yield (name, 3x3 direction matrix) of all 48 orientations, straight and oblique."""
    turn = rotation((0.31, -0.22, 0.17))
    for permutation in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            for axis, (world, sign) in enumerate(zip(permutation, signs, strict=True)):
                matrix[world, axis] = sign
            name = "".join(
                "xyz"[w] if s > 0 else "XYZ"[w] for w, s in zip(permutation, signs, strict=True)
            )
            yield name, matrix
            yield f"{name}-oblique", turn @ matrix


DIRECTIONS = dict(directions())


def _turned_by_turns():
    """Yield the names of all 48 orientations, half of them oblique, of both hands alike."""
    for name in DIRECTIONS:
        flips = sum(letter.isupper() for letter in name)
        if name.endswith("-oblique") == bool(flips % 2):
            yield name


#: Enough where reading is tested in all of `DIRECTIONS`, and writing takes long.
BY_TURNS = tuple(_turned_by_turns())


def _case(name):
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS[name] * np.asarray(SPACING)
    affine[:3, 3] = ORIGIN
    array = np.random.default_rng(1).integers(-500, 1500, SHAPE).astype(np.int16)
    return SimpleNamespace(
        name=name,
        direction=DIRECTIONS[name],
        spacing=SPACING,
        origin=ORIGIN,
        affine=affine,
        array=array,
        labels=labels(array.shape),
    )


def labels(shape=SHAPE, seed=0):
    """Random class ids, some not annotated."""
    return np.random.default_rng(seed).choice([0, 1, 2, 255], size=shape).astype(np.uint8)


@pytest.fixture(params=DIRECTIONS)
def case(request):
    """One image after another, in every orientation."""
    return _case(request.param)


@pytest.fixture
def oblique():
    """One image in an awkward orientation."""
    return _case("yZX-oblique")


@contextmanager
def as_nobody():
    """Give up the rights of an administrator for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public():
    """Give a folder that others may look into, as those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
