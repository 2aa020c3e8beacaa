"""Labels that commands read, with those of their regions that are wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from .command_errors import UsageError
from .formats.label_import import ImportedLabels, import_labels, of_regions
from .formats.region_choice import MOST_LISTED
from .formats.region_masks import listed
from .volume.annotation import NOT_ANNOTATED
from .volume.classes import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .volume.image import Volume

#: Says that all regions are wanted.
ALL = "all"

#: Overlapping regions up to which all of them are likely to be wanted, as in the panel.
_FEW = 5

RegionOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Name of a region of an RTSTRUCT, or of a segment of a DICOM-SEG, to take; may be "
        "repeated, and class ids follow the order. “all” takes each one. When omitted, all but "
        "the outline of the body beside others."
    ),
]


def import_unasked(
    path: Path, like: Volume, names: Sequence[str], resample: bool = False
) -> ImportedLabels:
    """Read labels as `import_labels` does, and of regions those that are wanted.

    More than five that overlap are refused when none is named: the smaller ones, which a planning
    system makes besides organs, would hide the others.

    Parameters
    ----------
    path, like, resample
        As of `import_labels`.
    names
        Regions, whose ids are their places in this row; ``all`` alone for each one. When empty,
        all but the outline of the body beside others.

    Raises
    ------
    GridDiffersError
        As `import_labels`.
    UserError
        With one sentence for the user, also if there is no region of a name, or if regions have
        to be named.
    """
    everything = [name.casefold() for name in names] == [ALL]
    wanted = None if everything or not names else names
    found = import_labels(path, like, resample=resample, regions=wanted)
    if names or found.regions is None:
        return found
    masks = found.regions.masks.values()
    kept = [mask for mask in masks if not mask.is_body]
    bodies = [mask.name for mask in masks if mask.is_body]
    if bodies and kept:
        said = f"{listed(bodies)} left out: it outlines the body; name it with --region to take it."
        remarks = (*found.regions.remarks, said)
        regions = replace(found.regions, masks=dict(enumerate(kept, 1)), remarks=remarks)
        found = of_regions(regions, like)
    if len(kept) > _FEW and sum(mask.voxels for mask in kept) > _marked(found):
        row = listed([mask.name for mask in masks], MOST_LISTED)
        raise UsageError(
            f"{path} has {len(masks)} regions, some of which overlap: {row}; say which are wanted, "
            f"each with --region, or take them all with --region {ALL}."
        )
    return found


def _marked(found: ImportedLabels) -> int:
    silent = found.labels == NOT_ANNOTATED
    return int(np.count_nonzero(found.labels != BACKGROUND) - np.count_nonzero(silent))
