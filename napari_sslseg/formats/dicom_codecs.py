"""Decoding compressed DICOM frames: by the plugins of pydicom, else by ITK.

Two ways, as the codecs of pydicom are separate packages, and of lossless JPEG, the commonest
compression in hospitals, there is no other decoder with a licence that suits. pydicom's own way to
GDCM is not used: a damaged frame ends the whole process in it, while ITK, which is made with the
same decoder, raises an error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

#: What decoding has to know of a file.
PIXEL_TAGS = (
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)

#: Plugin of pydicom that is left out.
_UNSAFE = "gdcm"


class NoCodecError(RuntimeError):
    """Nothing that is installed can read the compression."""


def decoded_frames(source: Any, dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Decode frames as ``(row, column)`` or ``(row, column, 3)``, colours as RGB.

    Parameters
    ----------
    source : Dataset, or a binary file
        What pydicom decodes from: a whole dataset, or a file of which only the frames are read.
    dataset : Dataset
        Its image pixel module and transfer syntax.
    indices : sequence of int
        Zero-based frame numbers.

    Raises
    ------
    NoCodecError
        If nothing here reads the compression.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import iter_pixels

    try:
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    except NotImplementedError as error:
        raise NoCodecError(str(error)) from error
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(source, indices=indices)
        return
    refusal: Exception | None = None
    for plugin in (name for name in decoder.available_plugins if name != _UNSAFE):
        frames = iter_pixels(source, indices=indices, decoding_plugin=plugin)
        try:
            first = next(frames)
        except Exception as error:  # the codecs raise nearly anything
            refusal = error if refusal is None or _unsupported(refusal) else refusal
            continue
        yield first
        yield from frames
        return
    if refusal is not None and not _unsupported(refusal):
        raise refusal
    yield from _by_itk(source, dataset, indices)


def _unsupported(error: Exception) -> bool:
    """Whether a decoder says that it cannot read this kind of frame, damaged or not."""
    return isinstance(error, NotImplementedError) or "does not support" in str(error)


def _by_itk(source: Any, dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Decode by ITK, which gets a file of each frame with nothing else in it."""
    import SimpleITK as sitk

    for bitstream in _bitstreams(source, dataset, indices):
        with tempfile.TemporaryDirectory(prefix="napari-sslseg-") as folder:
            path = Path(folder) / "frame.dcm"
            _single_frame(dataset, bitstream).save_as(path, enforce_file_format=True)
            try:
                image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
            except RuntimeError as error:
                if "codec" in str(error) or "Unsupported" in str(error):
                    raise NoCodecError(str(error)) from error
                raise
        yield np.asarray(sitk.GetArrayFromImage(image)[0])


def _bitstreams(source: Any, dataset: Dataset, indices: Sequence[int]) -> Iterator[bytes]:
    import pydicom
    from pydicom.encaps import get_frame

    if not hasattr(source, "PixelData"):
        source.seek(0)
        source = pydicom.dcmread(source, force=True)
    count = int(dataset.get("NumberOfFrames") or 1)
    for index in indices:
        yield get_frame(source.PixelData, index, number_of_frames=count)


def _single_frame(dataset: Dataset, bitstream: bytes) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, SecondaryCaptureImageStorage

    out = Dataset()
    out.file_meta = FileMetaDataset()
    out.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    out.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    out.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    out.SOPClassUID, out.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    for name in PIXEL_TAGS:
        if name in dataset:
            setattr(out, name, dataset[name].value)
    out.NumberOfFrames = 1
    out.PixelData = encapsulate([bitstream])
    out["PixelData"].is_undefined_length = True
    return out
