"""Values of DICOM attributes, wherever a file has them; None stands for what is not stated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset


class Attributes:
    """Attributes of one frame, wherever they are: its own group, the shared one, or the top.

    Parameters
    ----------
    dataset : pydicom Dataset
        The top.
    groups : list of pydicom Dataset
        Functional groups: its own, then the shared ones.
    """

    def __init__(self, dataset: Dataset, groups: list[Dataset]) -> None:
        self.dataset = dataset
        self._groups = groups

    def numbers(self, name: str, group: str, count: int) -> tuple[float, ...] | None:
        """Return numbers of the first place that states them.

        Parameters
        ----------
        name : str
            Keyword of the attribute, such as ``"PixelSpacing"``.
        group : str
            Keyword of the functional group that may hold it; empty for none.
        count : int
            How many there have to be, any number for 0.

        Returns
        -------
        tuple of float, or None
            None where no place states as many, all finite.

        Raises
        ------
        TypeError, ValueError
            If they are no numbers.
        """
        for place in self._places(group):
            if (found := numbers_of(place, name, count)) is not None:
                return found
        return None

    def marker(self, name: str, group: str) -> str:
        """Return a value in words; empty where it is not stated.

        Parameters
        ----------
        name : str
            Keyword of the attribute; of diffusion directions, the direction itself is taken.
        group : str
            Keyword of the functional group that holds it; empty where it is in the top.
        """
        place = self.dataset if not group else next(self._places(group, top=False), None)
        value = place.get(name) if place is not None else None
        if name == "DiffusionGradientDirectionSequence" and value:
            value = value[0].get("DiffusionGradientOrientation")
        return "" if value is None or value == "" else str(value)

    def _places(self, group: str, top: bool = True) -> Iterator[Dataset]:
        for holder in self._groups:
            if (item := first_of(holder, group)) is not None:
                yield item
        if top:
            yield self.dataset


def first_of(dataset: Dataset, sequence: str) -> Dataset | None:
    """Return the first item of a sequence, by its keyword; None if there is none."""
    items = dataset.get(sequence) if sequence else None
    return items[0] if items else None


def text_of(dataset: Dataset, name: str) -> str:
    """Return a value, by its keyword, as text without outer blanks; empty if not stated."""
    value = dataset.get(name)
    return "" if value is None else str(value).strip()


def whole_of(dataset: Dataset, name: str, missing: int = 0) -> int:
    """Return a whole number; `missing` where it is not stated. ValueError if it is no number."""
    value = dataset.get(name)
    return missing if value is None or value == "" else int(value)


def numbers_of(dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """Return finite numbers, `count` of them or any number for 0; None if there are not.

    Raises
    ------
    TypeError, ValueError
        If they are no numbers.
    """
    value = dataset.get(name)
    if value is None or value == "":
        return None
    values = [value] if isinstance(value, (int, float)) else list(value)
    numbers = tuple(float(item) for item in values)
    if (count and len(numbers) != count) or not all(map(math.isfinite, numbers)):
        return None
    return numbers or None
