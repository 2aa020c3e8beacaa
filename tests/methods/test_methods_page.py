"""The page that leads from the papers to the code and its tests names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from napari_sslseg.methods.frameworks import FrameworkConfig
from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig
from napari_sslseg.methods.frameworks.rpg import RPGConfig
from napari_sslseg.methods.frameworks.semsim_config import SemSimConfig

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "methods.md"


def _rows():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split("|") for line in lines if line.startswith("| ")]


def test_every_test_on_the_page_exists():
    files = [path for each in (HERE, HERE.parent / "training") for path in each.rglob("test_*.py")]
    stems = {path.stem for path in files}
    names = {name for path in files for name in re.findall(r"def test_(\w+)", path.read_text())}
    mentioned = [m for row in _rows() for m in re.findall(r"`(?:fw/)?([\w…]+)`", row[-1])]
    assert len(mentioned) > 80
    for mention in mentioned:
        stem = mention.rstrip("…")
        known = stem in stems or any(stem in name for name in names)
        assert known, mention


def test_every_option_of_the_papers_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    shared = {f.name for f in fields(FrameworkConfig)}
    for config in (SemSimConfig, RPGConfig, MetaSSLConfig):
        for name in {f.name for f in fields(config)} - shared:
            assert f"`{name}`" in page, f"{config.__name__}.{name}"
