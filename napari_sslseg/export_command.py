"""``napari-sslseg export``: a label file into any format that the application exports to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from .command_errors import UsageError
from .formats import FORMATS, FormatError, export, format_for, losses, read
from .formats.atomic import check_writable
from .formats.choice import SeveralVolumesError
from .formats.exporting import named, possible_files
from .formats.label_import import GridDiffersError, ImportedLabels
from .formats.provenance import ImageIdentity, Provenance, content_digest
from .formats.sparing import spare_inputs, spare_strangers
from .label_inputs import RegionOption, import_unasked
from .volume.annotation import NOT_ANNOTATED
from .volume.classes import BACKGROUND, ClassTable, voxel_counts

if TYPE_CHECKING:
    from .volume.image import Volume


def run_export(
    labels: Annotated[
        Path, typer.Argument(help="Class ids: a label file, DICOM-SEG, or RTSTRUCT.")
    ],
    output: Annotated[
        Path,
        typer.Argument(
            help="Where to write; the suffix may say the format. Files that exist are replaced."
        ),
    ],
    image: Annotated[Path, typer.Option(help="The image that the labels belong to.")],
    series: Annotated[
        str | None, typer.Option(help="Which volume, where the image's file or folder has several.")
    ] = None,
    format_key: Annotated[
        str | None,
        typer.Option("--format", help=f"One of: {', '.join(kind.key for kind in FORMATS)}."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name of a class, as 1=Liver; DICOM gets its SNOMED code where known."),
    ] = None,
    region: RegionOption = None,
    per_class: Annotated[bool, typer.Option(help="One binary file for each class.")] = False,
    anonymous: Annotated[
        bool, typer.Option(help="No names in the record, no patient in DICOM files.")
    ] = False,
    resample: Annotated[
        bool, typer.Option(help="Bring labels on another grid onto the image's.")
    ] = False,
) -> dict[str, Any]:
    """Write labels in another format, with the image's geometry.

    Parameters
    ----------
    labels
        Label file, DICOM segmentation or RT structure set; voxels of 255 become background, but
        class 1 in a mask of 0 and 255 alone.
    output, per_class, anonymous
        `path`, `per_class` and `anonymous` of `export`.
    image, series
        The image that the labels belong to, and which volume of several.
    format_key
        A key of `FORMATS`; None lets the suffix of `output` decide.
    name
        Names of classes, each as ``1=Liver``; they go before those of a segmentation.
    region
        `names` of `import_unasked`.
    resample
        Bring labels on another grid onto the image's, each voxel taking the nearest label.

    Returns
    -------
    dict
        Files, format, names of the classes, losses and remarks on labels and image, fit for JSON;
        the remarks go to stderr, too.

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    kind = format_for(output, format_key)
    given = _names(name or [])
    spare_inputs([named(output, kind)], [labels, image])
    check_writable(named(output, kind))
    volume, found = _read(image, series, labels, region or [], resample)
    for file, remarks in ((image, volume.warnings), (labels, found.remarks)):
        for remark in remarks:
            print(f"Note: {file}: {remark}", file=sys.stderr)
    if per_class and kind.split == "never":
        print(f"Note: --per-class changes nothing: {kind.title} is one file.", file=sys.stderr)
    silent = found.labels == NOT_ANNOTATED
    values = np.where(silent, np.uint8(BACKGROUND), found.labels)
    if silent.any() and not values.any():
        raise FormatError(
            f"{labels} holds nothing but background and voxels that are not annotated (255); give "
            "labels that mark a class within the image."
        )
    classes = ClassTable.from_ids(np.flatnonzero(voxel_counts(values)))
    if unknown := sorted(set(given) - set(classes.ids)):
        there = ", ".join(map(str, classes.ids))
        raise FormatError(f"{labels} has no class {unknown[0]} to be named; it has {there}.")
    for class_id, title in (found.names | given).items():
        if class_id in classes:
            classes.rename(class_id, title)
    for class_id, mask in found.regions.masks.items() if found.regions else ():
        if mask.color and class_id in classes:
            classes.recolor(class_id, mask.color)
    # Names of single files follow from the classes, which only the labels tell.
    targets = possible_files(output, kind, classes, per_class)
    spare_inputs(targets, [labels, volume])
    spare_strangers(targets)
    shown = volume.geometry.canonical().apply(volume.array)
    identity = ImageIdentity.of(volume.geometry, content_digest(shown), volume.channels)
    files = export(
        output,
        values,
        volume,
        classes,
        kind=kind,
        per_class=per_class,
        anonymous=anonymous,
        provenance=Provenance(identity, "" if anonymous else volume.name),
    )
    return {
        "files": [str(path) for path in files],
        "format": kind.key,
        "losses": losses(kind.key, volume),
        "classes": {str(item.id): item.name for item in classes if item.id != BACKGROUND},
        "resampled": found.resampled,
        "remarks": [*found.remarks, *volume.warnings],
    }


def _read(
    image: Path, series: str | None, labels: Path, region: list[str], resample: bool
) -> tuple[Volume, ImportedLabels]:
    """Read image and labels; errors that an option helps with name it."""
    try:
        volume = read(image, series)
    except SeveralVolumesError as error:
        raise UsageError(f"{str(error).removesuffix('.')}; use --series.") from error
    try:
        return volume, import_unasked(labels, volume, region, resample)
    except SeveralVolumesError as error:
        raise UsageError(
            f"{str(error).removesuffix('.')}; write the labels into a file of their own."
        ) from error
    except GridDiffersError as error:
        raise UsageError(
            f"{labels} is on another grid than the image: {error.reason}; use --resample, or give "
            "labels on the image's grid."
        ) from error


def _names(given: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for text in given:
        class_id, _, name = text.partition("=")
        if not class_id.strip().isdecimal() or not name.strip():
            raise FormatError(f"A class is named as 1=Liver, not as {text!r}.")
        if names.setdefault(int(class_id), name.strip()) != name.strip():
            raise FormatError(
                f"Class {int(class_id)} is named {names[int(class_id)]!r} and {name.strip()!r}; "
                "give one of the two."
            )
    return names
