"""Read files that are damaged in some thousand ways, in a process of its own.

``python fuzz_readers.py GROUP COUNT SEED FOLDER`` prints one line of JSON: how many files were
read, how many refused, and everything that went wrong. A process of its own, as its memory is
limited, and as a crash in a library would end the tests.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: Memory that a small file may take on top of the libraries, bytes.
HEADROOM = 1 << 30

#: Seconds that a small file may take.
SLOW = 5.0

RNG = np.random.default_rng(0)
ARRAY = (RNG.normal(100, 30, (6, 7, 8)) + np.arange(8)).astype(np.int16)
PLANE = RNG.integers(0, 256, (40, 30), dtype=np.uint8)

Seeds = dict[str, Callable[[Path], Path]]


def nifti_seeds() -> Seeds:
    import nibabel as nib

    affine = np.array([[0, 2.0, 0, 1], [1.5, 0, 0.1, 2], [0, 0.1, -3, 3], [0, 0, 0, 1]])

    def save(suffix, kind=nib.Nifti1Image, array=ARRAY, slope=None):
        def write(folder: Path) -> Path:
            image = kind(array, affine)
            if slope:
                image.header.set_slope_inter(*slope)
            nib.save(image, folder / f"a{suffix}")
            return folder / f"a{suffix}"

        return write

    return {
        "nii": save(".nii"),
        "nii2": save(".nii", nib.Nifti2Image),
        "scaled": save(".nii", slope=(0.5, 2)),
        "channels": save(".nii", array=np.stack([ARRAY] * 3, -1)),
        "nii.gz": save(".nii.gz"),
    }


def itk_seeds() -> Seeds:
    import SimpleITK as sitk

    def save(suffix, compress=False, array=ARRAY, vector=False):
        def write(folder: Path) -> Path:
            image = sitk.GetImageFromArray(array, isVector=vector)
            image.SetSpacing((0.7, 1.3, 5.0)[: image.GetDimension()])
            sitk.WriteImage(image, str(folder / f"a{suffix}"), useCompression=compress)
            return folder / f"a{suffix}"

        return write

    return {
        "nrrd": save(".nrrd"),
        "nrrd.gz": save(".nrrd", True),
        "vectors": save(".nrrd", array=np.stack([ARRAY] * 3, -1), vector=True),
        "nhdr": save(".nhdr"),
        "mha": save(".mha"),
        "mha.gz": save(".mha", True),
        "mhd": save(".mhd"),
    }


def tiff_seeds() -> Seeds:
    import tifffile

    def save(**options):
        def write(folder: Path) -> Path:
            tifffile.imwrite(folder / "a.tif", ARRAY.astype(np.uint16), **options)
            return folder / "a.tif"

        return write

    return {
        "plain": save(),
        "imagej": save(imagej=True, resolution=(2, 3), metadata={"axes": "ZYX", "spacing": 2}),
        "ome": save(ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5}),
        "deflate": save(compression="zlib"),
        "tiled": save(compression="zlib", tile=(16, 16)),
        "big": save(bigtiff=True, byteorder=">"),
    }


def picture_seeds() -> Seeds:
    from PIL import Image

    def save(suffix, array=PLANE):
        def write(folder: Path) -> Path:
            Image.fromarray(array).save(folder / f"a{suffix}")
            return folder / f"a{suffix}"

        return write

    def npy(folder: Path) -> Path:
        np.save(folder / "a.npy", ARRAY)
        return folder / "a.npy"

    def stack(folder: Path) -> Path:
        for n in range(3):
            Image.fromarray(PLANE + n).save(folder / f"z{n}.png")
        return folder

    return {
        "png": save(".png"),
        "png16": save(".png", PLANE.astype(np.uint16) * 200),
        "rgb": save(".png", np.dstack([PLANE] * 3)),
        "jpg": save(".jpg"),
        "bmp": save(".bmp"),
        "stack": stack,
        "npy": npy,
    }


def dicom_seeds() -> Seeds:
    import pydicom
    from dicom_files import write_enhanced, write_series
    from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

    def series(syntax=None, count=3):
        def write(folder: Path) -> Path:
            planes = np.stack([PLANE.astype(np.uint16) * 9] * count)
            if syntax == JPEG2000Lossless:
                planes = np.repeat(np.repeat(planes, 2, 1), 3, 2)
            for path in write_series(folder, planes, modality="CT"):
                if syntax is not None:
                    dataset = pydicom.dcmread(path)
                    dataset.compress(syntax, generate_instance_uid=False)
                    dataset.save_as(path)
            return folder

        return write

    def lossless_jpeg(folder: Path) -> Path:
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(PLANE[np.newaxis].astype(np.uint16) * 9)
        path = folder / "a.dcm"
        sitk.WriteImage(image, str(path), useCompression=True, compressor="JPEG")
        return path

    return {
        "raw": series(),
        "jpeg": lossless_jpeg,
        "rle": series(RLELossless, 1),
        "jpeg2000": series(JPEG2000Lossless, 1),
        "jpegls": series(JPEGLSLossless, 1),
        "enhanced": lambda folder: write_enhanced(
            folder / "a.dcm", ARRAY, rescale=[(1, -5)] * len(ARRAY)
        ),
    }


def zarr_seeds() -> Seeds:
    import zarr

    def save(version):
        def write(folder: Path) -> Path:
            path = folder / "a.zarr"
            group = zarr.create_group(str(path), zarr_format=version)
            group.create_array("0", data=ARRAY, chunks=(3, 7, 8))
            scale = [{"type": "scale", "scale": [2, 1, 0.5]}]
            axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
            datasets = [{"path": "0", "coordinateTransformations": scale}]
            multiscales = [{"axes": axes, "datasets": datasets}]
            if version == 2:
                group.attrs["multiscales"] = multiscales
            else:
                group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
            return path

        return write

    return {"v2": save(2), "v3": save(3)}


GROUPS: dict[str, Callable[[], Seeds]] = {
    "nifti": nifti_seeds,
    "itk": itk_seeds,
    "tiff": tiff_seeds,
    "pictures": picture_seeds,
    "dicom": dicom_seeds,
    "zarr": zarr_seeds,
}

#: What takes the place of a number in a text header.
LIES = (b"0", b"-1", b"1e308", b"nan", b"99999999", b"4294967295", b"18446744073709551615", b"x")


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, overwrite, lengthen or lie, mostly near the begin, where headers are."""
    data = bytearray(content)
    reach = len(data) if rng.random() < 0.4 else min(len(data), 400)
    at = int(rng.integers(0, max(1, reach)))
    kind = rng.integers(0, 8)
    if kind == 0:
        return bytes(data[: int(rng.integers(0, len(data) + 1))])
    if kind == 1:
        for place in rng.integers(0, max(1, reach), size=int(rng.integers(1, 9))):
            data[int(place)] ^= 1 << int(rng.integers(0, 8))
    elif kind == 2:
        width = int(rng.choice([1, 2, 4, 8]))
        data[at : at + width] = rng.bytes(width)
    elif kind == 3:
        width = int(rng.choice([2, 4, 8]))
        data[at : at + width] = (
            (b"\xff" * 8)[:width] if rng.random() < 0.5 else (b"\x7f" * 8)[:width]
        )
    elif kind == 4:
        data[at : at + int(rng.integers(1, 50))] = b""
    elif kind == 5:
        data[at:at] = rng.bytes(int(rng.integers(1, 50)))
    elif kind == 6:
        data[at : at + 8] = bytes(8)
    else:
        return lie(bytes(data[:4000]), rng) + bytes(data[4000:])
    return bytes(data)


def lie(content: bytes, rng: np.random.Generator) -> bytes:
    """Put another number in the place of one that is written in digits, if there is any."""
    digits = [n for n, byte in enumerate(content) if 48 <= byte <= 57]
    if not digits:
        return damage(content, np.random.default_rng(rng.integers(1 << 30)))
    start = end = digits[int(rng.integers(len(digits)))]
    while start and 48 <= content[start - 1] <= 57:
        start -= 1
    while end < len(content) and 48 <= content[end] <= 57:
        end += 1
    return content[:start] + LIES[int(rng.integers(len(LIES)))] + content[end:]


def mutate(target: Path, rng: np.random.Generator) -> str:
    """Damage one file of what was written; return its name."""
    files = sorted(p for p in ([target] if target.is_file() else target.rglob("*")) if p.is_file())
    if target.suffix in (".nhdr", ".mhd"):
        files = sorted(target.parent.iterdir())
    file = files[int(rng.integers(len(files)))]
    content = file.read_bytes()
    if file.name.endswith(".gz") and rng.random() < 0.7:
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
            packed.write(damage(gzip.decompress(content), rng))
        file.write_bytes(out.getvalue())
    else:
        file.write_bytes(damage(content, rng))
    return file.name


class TooSlowError(BaseException):
    """Reading took longer than a small file may take."""


def too_slow(*_) -> None:
    raise TooSlowError


def read_once(path: Path) -> str:
    """Read all of a file; return what is wrong with how that went."""
    from napari_sslseg.formats import FormatError, read

    try:
        volume = read(path)
        if volume.is_lazy:  # as long as one likes, where missing chunks are empty ones
            np.asarray(volume.array[(slice(0, 2),) * volume.array.ndim])
        elif np.asarray(volume.array).nbytes > HEADROOM // 8:
            return f"read {volume.array.shape} from a small file"
    except FormatError as error:
        text = str(error)
        if "\n" in text or ". " in text or not text.endswith(".") or "does not fit" in text:
            return f"says {text!r}"
        return "" if path.name in text or path.parent.name in text else f"names no file: {text!r}"
    except TooSlowError:
        return "takes too long"
    except Exception as error:
        return f"raises {error!r}"
    return "read"


def main(group: str, count: int, seed: int, folder: Path) -> dict:
    """Damage `count` files of a group of formats."""
    from napari_sslseg.formats import read

    seeds = GROUPS[group]()
    originals = {}
    for name, write in seeds.items():
        home = folder / "whole" / name
        home.mkdir(parents=True)
        originals[name] = write(home)
        np.asarray(read(originals[name]).array)  # loads the libraries, before memory is limited
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM,) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, too_slow)
    found = {"read": 0, "refused": 0, "wrong": []}
    for number in range(count):
        name = list(seeds)[number % len(seeds)]
        rng = np.random.default_rng((seed, number))
        home = folder / "damaged"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(folder / "whole" / name, home)
        target = home / originals[name].relative_to(folder / "whole" / name)
        file = mutate(target, rng)
        begin = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SLOW)
        outcome = read_once(target)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if outcome == "read":
            found["read"] += 1
        elif not outcome:
            found["refused"] += 1
        else:
            found["wrong"].append(f"{name} {number} ({file}): {outcome}")
        if time.monotonic() - begin > SLOW:
            found["wrong"].append(f"{name} {number} ({file}): {time.monotonic() - begin:.1f} s")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    found["grown_mb"] = round(grown, 1)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
