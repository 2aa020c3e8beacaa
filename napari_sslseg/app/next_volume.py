"""Which slice of the other volumes in a project a person should look at next."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..acquisition.evidence import evidence_of
from ..acquisition.reasons import end_names
from ..acquisition.registry import best_of_volumes, create
from ..volume.cohort import Cohort, ink_facts
from ..volume.order import CanonicalOrder
from ..volume.project import Project, ProjectError

if TYPE_CHECKING:
    from ..acquisition.evidence import Evidence
    from ..acquisition.suggestion import Suggestion

#: Of several proposals the first of these is asked.
_FIRST_ASKED = ("semsim", "reference-guided")

#: What is kept of an image that was turned in napari, so that its ends are not known.
_TURNED = ("rotate", "shear", "affine")


def best_slice_elsewhere(cohort: Cohort, current: str) -> Suggestion | None:
    """Rank the slices of all volumes but one; reads them from disk, so use a thread.

    Parameters
    ----------
    cohort : Cohort
    current : str
        Key of the volume to leave out: the one in view.

    Returns
    -------
    Suggestion or None
        Its `volume` is the key; None when in no other volume with a proposal a slice of the object
        is open.
    """
    found = []
    for key in cohort.keys:
        if key != current:
            # A damaged volume says so when it is opened; who goes there would not arrive.
            with contextlib.suppress(ProjectError):
                project = cohort.open(key)
                project.image()
                evidence = _evidence(project, key)
                found += [evidence] if evidence is not None else []
    return best_of_volumes(create(), found)


def _evidence(project: Project, key: str) -> Evidence | None:
    slugs = project.proposal_slugs()
    if not slugs:
        return None
    slug = next((s for s in _FIRST_ASKED if s in slugs), slugs[0])
    return evidence_of(
        project.read_proposal(slug),
        project.axis,
        sorted(ink_facts(project).whole),
        extent=project.extent.ends,
        ends=_ends(project),
        volume=key,
    )


def _ends(project: Project) -> tuple[str, str]:
    """Return the names of the volume's ends, as `slice_ends` does for one that is shown."""
    shown = project.info.layer
    order = shown.get("metadata", {}).get("order")
    if order is None or any(key in shown for key in _TURNED):
        return "", ""
    return end_names(CanonicalOrder.from_dict(order).geometry, project.axis)
