"""What NRRD and MetaImage headers promise, read before ITK gives memory to it.

ITK allocates what a header declares, however short the file is. Here the few fields are read that
say how many voxels there are, how they are stored and where.

.. [1] https://teem.sourceforge.net/nrrd/format.html
.. [2] https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import FormatError
from .limits import check_declared, check_memory

if TYPE_CHECKING:
    from pathlib import Path

#: Where to stop looking for the end of a header; Slicer's long ones have some 100 kB.
HEADER_BYTES = 1 << 22

_NRRD_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(
        ("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"
    ),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(
        ("longlong", "long long", "long long int", "signed long long", "signed long long int"),
        "i8",
    ),
    **dict.fromkeys(("int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}

_META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}

#: Spaces of NRRD that ITK turns to its own; all others it takes for left-posterior-superior.
_PATIENT_SPACES = (
    *("left-posterior-superior", "lps", "left-posterior-superior-time", "lpst"),
    *("right-anterior-superior", "ras", "left-anterior-superior", "las"),
)

#: Fields that say where the voxels lie, and the largest number that makes sense in them.
_NRRD_NUMBERS = ("space directions", "space origin", "spacings", "axis mins", "axis maxs")
_META_NUMBERS = (
    "TransformMatrix",
    "Rotation",
    "Orientation",
    "Offset",
    "Position",
    "Origin",
    "CenterOfRotation",
    "ElementSpacing",
    "ElementSize",
)
_MOST = 1e12

#: Encodings of NRRD in the words of `limits.EXPANSION`; text has a digit and a blank a value.
_ENCODINGS = {
    "raw": "raw",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "text",
}


@dataclass(frozen=True)
class ItkData:
    """Voxels as a header declares them.

    Parameters
    ----------
    shape : tuple of int
        Lengths, the fastest axis first; a MetaImage's channels come before them.
    dtype : numpy.dtype
        With the byte order of the file.
    kind : str
        Key of `limits.EXPANSION`, or ``"text"``.
    files : tuple of Path
        Files that hold the voxels; missing ones are left out.
    offset : int
        Where they begin in the only file, -1 where that is not known.
    units : tuple of str
        Units of the spatial axes as they stand; empty where the header gives none.
    in_patient : bool
        Whether the header says which way the axes run in the patient.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    kind: str
    files: tuple[Path, ...]
    offset: int
    units: tuple[str, ...] = ()
    in_patient: bool = True

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels, decoded."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, path: Path) -> None:
        """Raise FormatError, naming `path`, where the files cannot hold that much."""
        stored = sum(file.stat().st_size for file in self.files) - max(0, self.offset)
        if self.kind == "text":
            check_declared(path, 2 * math.prod(self.shape), stored + 1)
        else:
            check_declared(path, self.nbytes, stored, self.kind)

    def mapped(self) -> np.memmap | None:
        """Return the voxels memory-mapped, fastest axis first; None where they cannot be."""
        if self.kind != "raw" or len(self.files) != 1 or self.offset < 0:
            return None
        return np.memmap(self.files[0], self.dtype, "r", self.offset, self.shape, order="F")

    def check_memory(self, path: Path) -> None:
        """Raise FormatError, naming `path`, where reading it takes more memory than is free."""
        check_memory(path, 2 * self.nbytes)  # ITK's array and ours


def nrrd_lines(content: bytes) -> tuple[list[str], int]:
    """Return the lines of an NRRD header and where the blank line that ends it begins.

    Lines are decoded as Latin-1, see `decoded`. `content` is the file, or its beginning; where it
    has no blank line, the place is its end but for trailing blanks.
    """
    match = re.search(rb"\r?\n\r?\n", content)
    end = match.start() if match else len(content.rstrip())
    return content[:end].decode("latin-1").splitlines(), end


def decoded(text: str) -> str:
    """Return what stands in a header that was decoded as Latin-1, in UTF-8 if it is that.

    Raises
    ------
    UnicodeEncodeError
        If it has characters that Latin-1 has not.
    """
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def nrrd_data(path: Path) -> ItkData:
    """Read what an NRRD file declares.

    Raises
    ------
    FormatError
        If its header does not say it, the files that it names are missing, or it is no NRRD file.
    OSError
        If it cannot be opened.
    """
    with path.open("rb") as file:
        content = file.read(HEADER_BYTES)
    if not content.startswith(b"NRRD"):
        raise FormatError(f"{path} is no NRRD file; copy or export it again.")
    lines, end = nrrd_lines(content)
    pairs = [line.split(":", 1) for line in lines if ":" in line and not line.startswith("#")]
    fields = {name.strip().lower(): value.lstrip("=").strip() for name, value in pairs}
    for name in _NRRD_NUMBERS:
        _check_numbers(path, fields.get(name, ""))
    shape = _lengths(path, fields.get("sizes", ""), fields.get("dimension", ""))
    code = _NRRD_TYPES.get(fields.get("type", "").lower(), "")
    kind = _ENCODINGS.get(fields.get("encoding", "").lower(), "")
    if not code or not kind:
        raise _damaged(path, "type or encoding of its voxels")
    if kind == "bzip2":  # which ITK is built without
        raise FormatError(
            f"{path} is compressed by bzip2, which cannot be read; save it with gzip."
        )
    dtype = np.dtype((">" if fields.get("endian", "").lower() == "big" else "<") + code)
    outside = fields.get("data file", fields.get("datafile", ""))
    units, space = _nrrd_units(fields), fields.get("space", "").lower()
    placed = space in _PATIENT_SPACES or len(shape) < 3
    skips = any(fields.get(name, "0") != "0" for name in ("byte skip", "line skip"))
    if not outside:
        blank = re.match(rb"\r?\n\r?\n", content[end:])
        offset = end + len(blank.group()) if blank and kind == "raw" and not skips else -1
        return ItkData(shape, dtype, kind, (path,), offset, units, placed)
    files = _named(path, outside, lines)
    offset = 0 if len(files) == 1 and not skips else -1
    return ItkData(shape, dtype, kind, files, offset, units, placed)


def _nrrd_units(fields: dict[str, str]) -> tuple[str, ...]:
    """Return the units of the space, or of the axes where the header has no space."""
    given = fields.get("space units", "")
    if given or "space directions" in fields:
        return tuple(re.findall(r'"([^"]*)"', given))
    units = re.findall(r'"([^"]*)"', fields.get("units", ""))
    kinds = fields.get("kinds", "").split()
    if len(kinds) == len(units):
        units = [u for u, kind in zip(units, kinds, strict=True) if kind in ("domain", "space")]
    return tuple(units[:3])


def metaimage_data(path: Path) -> ItkData:
    """Read what a MetaImage file declares.

    Raises
    ------
    FormatError
        If its header does not say it, or the files that it names are missing.
    OSError
        If it cannot be opened.
    """
    with path.open("rb") as file:
        content = file.read(HEADER_BYTES)
    match = re.search(rb"^ElementDataFile\s*=\s*(.*?)\s*?\n", content, re.MULTILINE)
    if match is None:
        raise _damaged(path, "place of its voxels")
    head = content[: match.start()].decode("latin-1").splitlines()
    pairs = [line.split("=", 1) for line in head if "=" in line]
    fields = {name.strip(): value.strip() for name, value in pairs}
    for name in _META_NUMBERS:
        _check_numbers(path, fields.get(name, ""))
    shape = _lengths(path, fields.get("DimSize", ""), fields.get("NDims", ""))
    code = _META_TYPES.get(fields.get("ElementType", "").removesuffix("_ARRAY"), "")
    channels = fields.get("ElementNumberOfChannels", "1")
    if not code or not channels.isdecimal() or not int(channels):
        raise _damaged(path, "type of its voxels")
    if channels != "1":
        shape = (int(channels), *shape)
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    dtype = np.dtype((">" if _true(big) else "<") + code)
    kind = "gzip" if _true(fields.get("CompressedData", "False")) else "raw"
    kind = kind if _true(fields.get("BinaryData", "True")) else "text"
    units = tuple(fields[name] for name in ("DistanceUnits",) if name in fields)
    outside = match.group(1).decode("latin-1")
    plain = fields.get("HeaderSize", "0") == "0"
    if outside.upper() == "LOCAL":
        return ItkData(shape, dtype, kind, (path,), match.end() if plain else -1, units)
    rest = content[match.end() :].decode("latin-1").splitlines()
    files = _named(path, outside, [match.group().decode("latin-1"), *rest])
    offset = 0 if len(files) == 1 and plain else -1
    return ItkData(shape, dtype, kind, files, offset, units)


def _named(path: Path, outside: str, lines: list[str]) -> tuple[Path, ...]:
    """Return the data files that a header names: one, a list, or a pattern with numbers."""
    words = outside.split()
    names = [outside]
    if words and words[0].upper() == "LIST":
        start = next(n for n, line in enumerate(lines) if "LIST" in line.upper()) + 1
        names = [line.strip() for line in lines[start:] if line.strip()]
    elif len(words) >= 4 and "%" in words[0] and all(w.lstrip("-").isdecimal() for w in words[1:4]):
        first, last, step = (int(word) for word in words[1:4])
        if step == 0 or abs((last - first) // step) > 100_000:
            raise _damaged(path, "files of its voxels")
        numbers = range(first, last + (1 if step > 0 else -1), step)
        names = [_formatted(path, words[0], number) for number in numbers]
    files = tuple(file for name in names if (file := _beside(path, name)).is_file())
    if not files:
        missing = _beside(path, names[0]).name if names[0] else "no file"
        raise FormatError(
            f"{path} holds its voxels in {missing}, which is missing; put it beside the header."
        )
    return files


def _beside(path: Path, name: str) -> Path:
    """Return the file of a name that was decoded as Latin-1, whatever its bytes stand for.

    Programs write names as the system has them, today in UTF-8; some old ones wrote Latin-1.
    """
    try:
        file = path.parent / os.fsdecode(name.encode("latin-1"))
    except UnicodeDecodeError:  # on Windows, whose names are no bytes
        return path.parent / name
    plain = path.parent / name
    return plain if not file.is_file() and plain.is_file() else file


def _formatted(path: Path, pattern: str, number: int) -> str:
    if not re.fullmatch(r"[^%]*%0?\d{0,2}[du][^%]*", pattern):
        raise _damaged(path, "files of its voxels")
    return pattern % number


def _check_numbers(path: Path, text: str) -> None:
    """Refuse numbers beyond all reason: ITK looks for the directions in them for ever."""
    for word in re.split(r"[\s,()]+", text):
        try:
            number = float(word)
        except ValueError:  # "none" stands for an axis without a direction
            continue
        if abs(number) > _MOST:  # NaN stands for what is not known
            raise FormatError(
                f"{path} does not say where its voxels lie: its header has the number {word}; "
                "correct its header."
            )


def _lengths(path: Path, text: str, count: str) -> tuple[int, ...]:
    """Return the lengths of the axes; ITK trusts that they are as many as declared."""
    words = text.split()
    whole = all(w.isdecimal() and len(w) < 19 for w in words)
    if not 1 <= len(words) <= 16 or not whole or count != str(len(words)):
        raise _damaged(path, "lengths of its axes")
    lengths = tuple(int(word) for word in words)
    if min(lengths) < 1:
        raise _damaged(path, "lengths of its axes")
    return lengths


def _true(text: str) -> bool:
    return text.lower() in ("true", "1", "t", "yes")


def _damaged(path: Path, what: str) -> FormatError:
    return FormatError(
        f"{path} is damaged: its header does not say the {what}; copy or export it again."
    )
