"""The film of the tour: scenes with captions, written as one animated file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ImageSequence import Iterator

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tour_film(monkeypatch):
    spec = importlib.util.spec_from_file_location("tour_film", ROOT / "scripts" / "tour_film.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tour_film", module)
    spec.loader.exec_module(module)
    return module


def test_film_holds_its_scenes_for_as_long_as_asked(tour_film, tmp_path):
    film = tour_film.Film()
    for level, seconds in ((40, 0.5), (200, 1.25)):
        shot = np.full((60, 120, 4), level, np.uint8)
        film.add(shot, "2  Paint every class", seconds, rings=[(20, 20, 40, 20)])
    path = tmp_path / "tour.webp"
    assert film.save(path) == path.stat().st_size
    with Image.open(path) as read:
        scenes = [(np.array(f.convert("RGB")), f.info["duration"]) for f in Iterator(read)]
    assert [duration for _, duration in scenes] == [500, 1250]
    first = scenes[0][0].astype(int)
    assert first.shape[1] == 120
    assert first.shape[0] > 60
    assert abs(first[5, 5] - 40).max() < 12, "the screenshot is not covered"
    assert first[60:].max() > 150, "the caption is written below it"
    assert first[16:44, 16:64, 0].max() > 150, "what is pressed is ringed"


def test_a_film_without_scenes_is_not_written(tour_film, tmp_path):
    with pytest.raises(ValueError, match="no scenes"):
        tour_film.Film().save(tmp_path / "tour.webp")


def test_every_picture_of_the_documents_is_there_and_made_by_the_tour():
    script = (ROOT / "scripts" / "make_tour.py").read_text(encoding="utf-8")
    shown = set()
    for name in ("README.md", "docs/tutorial.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        shown |= {
            line.split("(")[1].split(")")[0] for line in text.splitlines() if line[:2] == "!["
        }
    assert len(shown) > 5
    for link in shown:
        path = ROOT / "docs" / "images" / Path(link).name
        assert path.is_file(), link
        made = path.name if path.suffix == ".webp" else f'self.picture("{path.stem}"'
        assert made in script, link
    film = ROOT / "docs" / "images" / "tour.webp"
    assert film.stat().st_size <= 2_000_000
