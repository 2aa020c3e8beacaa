"""A small data set on disk: two nested discs in a few volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

SHAPE = (20, 24, 5)


class NpyReader:
    """Reads .npy files, as the command line reads real formats."""

    def image(self, paths):
        """Read an array; several are channels."""
        from napari_sslseg.training.dataset.cases import ImageData

        arrays = [np.load(path) for path in paths]
        last = len(arrays) > 1
        array = np.stack(arrays, -1) if last else arrays[0]
        return ImageData(array, (1.0,) * (array.ndim - last), last)

    def labels(self, path):
        """Read an array."""
        return np.load(path)


def make_volume(seed: int, shape=SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Noisy image and truth 0, 1, 3; sliced along the last axis."""
    rng = np.random.default_rng(seed)
    y, x, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    centre = rng.uniform(0.4, 0.6, 2) * shape[:2]
    distance = np.hypot(y - centre[0], x - centre[1] - 0.3 * z)
    truth = np.where(distance < 3, 3, np.where(distance < 7, 1, 0)).astype(np.uint8)
    return (100 + 40.0 * truth + rng.normal(0, 15, shape)).astype(np.float32), truth


def write_dataset(folder: Path, count: int = 5, **changes) -> Path:
    """Write volumes c0, c1, ... as .npy and their description; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image, truth = make_volume(i)
        np.save(folder / f"c{i}.npy", image)
        np.save(folder / f"c{i}_gt.npy", truth)
    content = {
        "name": "discs",
        "volumes": [{"image": "{case}.npy", "labels": "{case}_gt.npy"}],
        "classes": {1: "ring", 3: "core"},
        "axis": 2,
        "size": [16, 16],
        "distances": "voxels",
        "labelled": ["c0", "c1"],
        "unlabelled": "rest",
        "validation": ["c4"],
        "training": {
            "preset": "metassl-fixmatch",
            "steps": 6,
            "labelled": 3,
            "unlabelled": 3,
            "validate_every": 4,
            "log_every": 2,
            "save_every": 3,
            "options": {"channels": [4, 8, 8, 16]},
        },
        **changes,
    }
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
