"""Pictures of the slices that are most wrong: what is missing, and where only the border is.

Left the image; right the same with the outline of the truth in green and of the proposal in
white, over the wrong voxels: red where no reference shows the structure, yellow at borders, blue
elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from few_slice import Case
from PIL import Image
from skimage.segmentation import find_boundaries

#: Worst slices that are shown of each case.
SHOWN = 3
#: Pixels around the object, and of the picture for each pixel of the slice.
MARGIN, ENLARGED = 12, 4

UNSEEN, BORDER, OTHER = (220, 40, 40), (240, 200, 40), (70, 110, 230)
TRUE, PROPOSED = (60, 220, 90), (255, 255, 255)


def save_worst(
    case: Case, labels: np.ndarray, rows: list[int], far: np.ndarray, near: np.ndarray, path: Path
) -> None:
    """Write one PNG with the worst slices of a case, one below the other.

    Parameters
    ----------
    case : Case
    labels : (Z, H, W) array
        The proposal.
    rows : list of int
        Slices that count.
    far, near : (Z, H, W) bool arrays
        Wrong voxels of structures that no reference shows, and at borders.
    path : Path
    """
    wrong = labels != case.truth
    worst = sorted(rows, key=lambda z: -int(wrong[z].sum()))[:SHOWN]
    box = _around((labels[worst] > 0) | (case.truth[worst] > 0))
    low, high = np.percentile(case.image[(worst, *box)], (1, 99))
    strips = []
    for z in worst:
        grey = np.clip((case.image[z][box] - low) / max(high - low, 1e-6), 0, 1)
        plain = np.repeat((255 * grey).astype(np.uint8)[..., None], 3, 2)
        marked = plain.astype(np.float32)
        kinds = (
            (wrong[z] & ~near[z] & ~far[z], OTHER),
            (near[z] & ~far[z], BORDER),
            (far[z], UNSEEN),
        )
        for where, colour in kinds:
            inside = where[box]
            marked[inside] = 0.4 * marked[inside] + 0.6 * np.asarray(colour, np.float32)
        strips.append(
            np.hstack(
                [_enlarged(plain), _outlined(marked.astype(np.uint8), case.truth, labels, z, box)]
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(strips)).save(path)


def _outlined(
    marked: np.ndarray, truth: np.ndarray, labels: np.ndarray, z: int, box: tuple[slice, slice]
) -> np.ndarray:
    result = _enlarged(marked)
    for values, colour in ((labels, PROPOSED), (truth, TRUE)):
        result[find_boundaries(_enlarged(values[z][box]), mode="inner")] = colour
    return result


def _enlarged(values: np.ndarray) -> np.ndarray:
    return values.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def _around(mask: np.ndarray) -> tuple[slice, slice]:
    shown = mask.any(axis=0)
    bounds = []
    for axis in (1, 0):
        where = np.flatnonzero(shown.any(axis=axis))
        first, last = (where[0], where[-1]) if len(where) else (0, len(shown) - 1)
        bounds.append(slice(max(0, int(first) - MARGIN), int(last) + MARGIN + 1))
    return bounds[0], bounds[1]
