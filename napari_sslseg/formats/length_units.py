"""Units of length in the spellings that files use."""

from __future__ import annotations

#: Prefix as a word and as a letter -> unit of a geometry, and factor to it.
_PREFIXES = {
    ("pico", "p"): ("nm", 1e-3),
    ("nano", "n"): ("nm", 1.0),
    ("micro", "u"): ("um", 1.0),
    ("milli", "m"): ("mm", 1.0),
    ("centi", "c"): ("mm", 10.0),
    ("deci", "d"): ("mm", 100.0),
    ("", ""): ("m", 1.0),
    ("kilo", "k"): ("m", 1000.0),
}

_METRIC = {
    name: unit
    for (prefix, letter), unit in _PREFIXES.items()
    for name in (f"{letter}m", *(f"{prefix}{m}" for m in ("meter", "metre", "meters", "metres")))
}

#: Lower case, as `str.lower` has it: that of the Angstrom sign is the letter å.
_LENGTHS = {
    **_METRIC,
    **dict.fromkeys(("\u00b5m", "\u03bcm", "\\u00b5m", "micron", "microns"), ("um", 1.0)),
    **dict.fromkeys(("inch", "inches", "in"), ("mm", 25.4)),
    **dict.fromkeys(("angstrom", "angstroms", "\u00e5"), ("nm", 0.1)),
}

#: What files write that have no unit of length.
_NONE = (
    "",
    "pixel",
    "pixels",
    "px",
    "voxel",
    "voxels",
    "reference frame",
    "none",
    "unknown",
    "???",
)


def length_unit(name: str) -> tuple[str, float] | None:
    """Return the unit of a geometry and the factor to it; None if the name is no unit of length.

    Parameters
    ----------
    name : str
        In any case; blanks around it do not count.

    Returns
    -------
    tuple of str and float, or None
        ``"m"``, ``"mm"``, ``"um"`` or ``"nm"``, and by what lengths are multiplied to be in it.

    Examples
    --------
    >>> length_unit("Centimeter")
    ('mm', 10.0)
    """
    return _LENGTHS.get(name.strip().lower())


def remark_on(name: str, taken_for: str) -> tuple[str, ...]:
    """Return a sentence on a unit that `length_unit` does not know; nothing if none is meant.

    Parameters
    ----------
    name : str
        As it stands in the file.
    taken_for : str
        What its numbers are taken for.
    """
    if name.strip().lower() in _NONE or length_unit(name) is not None:
        return ()
    return (
        f"The file gives its voxel size in “{name.strip()}”, which is no known unit of length: the "
        f"numbers are taken for {taken_for}.",
    )
