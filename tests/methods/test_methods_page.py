"""The page that leads from the papers to the code and its tests names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from napari_sslseg.methods.frameworks import FrameworkConfig
from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig
from napari_sslseg.methods.frameworks.rpg import RPGConfig
from napari_sslseg.methods.frameworks.semsim_config import SemSimConfig

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "methods.md"


def _rows():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split("|") for line in lines if line.startswith("| ")]


def _tests() -> dict[str, set[str]]:
    """Return the names of the tests in each file, by its stem."""
    files = [path for each in (HERE, HERE.parent / "training") for path in each.rglob("test_*.py")]
    found: dict[str, set[str]] = {}
    for path in files:
        names = re.findall(r"^def test_(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        found.setdefault(path.stem, set()).update(names)
    return found


def _mentions(text: str) -> list[str]:
    return [each.rpartition("/")[2] for each in re.findall(r"`([\w/…]+)`", text)]


def _is_there(mention: str, tests: dict[str, set[str]]) -> bool:
    """Whether it is a file, or the name of a test in one of them; … stands for the rest of it."""
    names = set().union(*tests.values())
    if mention.endswith("…"):
        return any(name.startswith(mention[:-1]) for name in names)
    return mention in tests or mention in names


def test_every_test_on_the_page_exists():
    tests, mentioned = _tests(), 0
    for row in _rows():
        for clause in row[-1].split(";"):
            head, named, rest = clause.partition(":")  # `file`: tests of that file
            within = {stem: tests[stem] for stem in _mentions(head)} if named else tests
            for mention in _mentions(rest if named else head):
                assert _is_there(mention, within), mention
                mentioned += 1
    assert mentioned > 80


@pytest.mark.parametrize(
    ("mention", "there"),
    [("by_hand", True), ("by…", True), ("hand…", False), ("by", False), ("test_b", True)],
)
def test_a_test_is_named_from_its_beginning(mention, there):
    assert _is_there(mention, {"test_a": {"by_hand"}, "test_b": set()}) == there


def test_every_option_of_the_papers_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    shared = {f.name for f in fields(FrameworkConfig)}
    for config in (SemSimConfig, RPGConfig, MetaSSLConfig):
        for name in {f.name for f in fields(config)} - shared:
            assert f"`{name}`" in page, f"{config.__name__}.{name}"
