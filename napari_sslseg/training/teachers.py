"""Which other volumes of a project can teach a run on one of them, and which classes they know."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..volume.cohort import Cohort, InkFacts, ink_facts
from ..volume.project import Project, ProjectError

#: Volumes that are listened to: more of them tell the same again.
MOST_VOLUMES = 8

#: Bytes a voxel of another volume while it is read.
_READING = 8


@dataclass(frozen=True)
class Teacher:
    """A volume with references.

    Parameters
    ----------
    key : str
        In the project of several.
    project : Project
    whole : tuple of int
        Its wholly labelled slices, rising.
    """

    key: str
    project: Project
    whole: tuple[int, ...]


@dataclass(frozen=True)
class Teachers:
    """The volumes that teach.

    Parameters
    ----------
    volumes : tuple of Teacher
        Those with most references first.
    classes : frozenset of int
        Ids that all of them have painted; those of the volume that is taught are among them.
    """

    volumes: tuple[Teacher, ...] = ()
    classes: frozenset[int] = frozenset()


NOBODY = Teachers()


def find_teachers(
    project: Project, budget: int, check: Callable[[], object] = lambda: None
) -> Teachers:
    """Find the other volumes of a project that can teach a run on one.

    A volume is listened to when each class to be learned is labelled there: elsewhere background
    may only mean that nobody has looked for a class yet. To be learned are the classes that are
    labelled in the volume of the run, and others that most of the references elsewhere know: where
    few slices are labelled, a class may not have been met yet.

    Parameters
    ----------
    project : Project
        The volume of the run.
    budget : int
        Bytes that the run may use; volumes are read one at a time, those too large for that are
        left out.
    check : callable
        Called before each volume; may raise.
    """
    own = _facts(project)
    if own is None:
        return NOBODY
    found = [
        (Teacher(key, other, tuple(sorted(facts.whole))), facts.painted)
        for key, other, facts in _others(project, budget, check)
        if facts.whole and facts.painted >= own.painted and other.axis == project.axis
    ]
    references: Counter[int] = Counter()
    for teacher, painted in found:
        references.update(dict.fromkeys(painted, len(teacher.whole)))
    most = sum(len(teacher.whole) for teacher, _ in found) / 2
    classes = own.painted | {i for i, count in references.items() if count > most}
    volumes = sorted(
        (teacher for teacher, painted in found if painted >= classes),
        key=lambda teacher: -len(teacher.whole),
    )
    return Teachers(tuple(volumes[:MOST_VOLUMES]), classes) if volumes else NOBODY


def _facts(project: Project) -> InkFacts | None:
    try:
        return ink_facts(project)
    except (ProjectError, ValueError, OSError):
        return None  # the list of volumes tells of it; a run can do without


def _others(
    project: Project, budget: int, check: Callable[[], object]
) -> Iterator[tuple[str, Project, InkFacts]]:
    """Open the other volumes of a project, those that can be, with their keys and ink."""
    cohort = Cohort(project.path)
    own = cohort.key_of(project.path)
    for key in cohort.keys:
        if key == own:
            continue
        check()
        try:
            other = cohort.open(key)
        except (ProjectError, ValueError, OSError):
            continue
        if _READING * math.prod(other.info.shape) > budget:
            continue
        facts = _facts(other)
        if facts is not None:
            yield key, other, facts
