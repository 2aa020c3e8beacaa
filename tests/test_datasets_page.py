"""docs/datasets.md: its tables are what there is, its descriptions are read, its example runs."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from napari_sslseg.dataset_commands import run_evaluate, run_predict, run_train
from napari_sslseg.training.dataset.description import KEYS, LISTS, parse_dataset, read_dataset
from napari_sslseg.training.dataset.prediction import build_framework
from napari_sslseg.training.dataset.presets import OTHER_KEYS, PRESETS, Preset
from napari_sslseg.training.dataset.settings import make_settings

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "datasets.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    lines = PAGE.partition(f"\n{heading}\n")[2].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


DESCRIPTIONS = [text for text in _blocks("yaml") if "classes:" in text]


def _make_files(content: dict, folder: Path) -> None:
    """Make empty files for all that a description names."""
    root = folder / content.get("root", ".")
    root.mkdir(parents=True, exist_ok=True)
    cases = ["another"]
    for part in LISTS:
        value = content.get(part)
        if isinstance(value, str) and value != "rest":
            (root / value).write_text(f"{part}1\n{part}2\n")
            cases += [f"{part}1", f"{part}2"]
        elif isinstance(value, list):
            cases += value
    volumes = content["volumes"]
    for item in volumes.values() if isinstance(volumes, dict) else volumes:
        images = item["image"] if isinstance(item["image"], list) else [item["image"]]
        for template in [*images, *([item["labels"]] if "labels" in item else [])]:
            for case in cases:
                path = root / template.replace("{case}", case)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


def test_presets_are_those_of_the_program():
    rows = _rows("## Presets")
    assert [row[0].strip("`") for row in rows] == list(PRESETS)
    for name, _, batch, steps, _ in rows:
        preset = PRESETS[name.strip("`")]
        assert batch == f"{preset.labelled} + {preset.unlabelled}", name
        assert int(steps) == preset.steps, name


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_that_are_for_slices_only_say_so(name, tmp_path):
    pytest.importorskip("monai")
    content = {"volumes": [{"image": "{case}.npy"}], "classes": {1: "x"}, "test": ["a"]}
    _make_files(content, tmp_path)
    content |= {"dimensions": 3, "size": [16, 16, 16]}
    dataset = parse_dataset(content, tmp_path, "x")
    settings = make_settings(dataset, "cpu", preset=name, options={"channels": [4, 4, 4, 4, 4]})
    about = {
        "framework": settings.framework,
        "in_channels": 1,
        "outputs": 2,
        "options": {**settings.options, "network": settings.network},
    }
    (row,) = (row for row in _rows("## Presets") if row[0] == f"`{name}`")
    if name == "default" or "2D only" in row[-1]:
        with pytest.raises(ValueError, match="images"):
            build_framework(about)
    else:
        build_framework(about)


def test_keys_are_those_of_the_program():
    named = [row[0].strip("`") for row in _rows("## The description")]
    assert sorted(named) == sorted(KEYS)
    training = [row[0].strip("`") for row in _rows("### The training block")]
    known = [*OTHER_KEYS, *(f.name for f in fields(Preset) if f.name != "framework")]
    assert sorted(training) == sorted(known)


@pytest.mark.parametrize("number", range(len(DESCRIPTIONS)))
def test_every_description_is_read(number, tmp_path):
    text = DESCRIPTIONS[number]
    _make_files(yaml.safe_load(text), tmp_path)
    path = tmp_path / "dataset.yaml"
    path.write_text(text, encoding="utf-8")
    dataset = read_dataset(path)
    assert dataset.labelled or dataset.test
    assert make_settings(dataset, "cpu").preset in PRESETS


def test_all_yaml_blocks_are_descriptions():
    assert len(DESCRIPTIONS) == len(_blocks("yaml")) > 1


def test_the_example_runs(tmp_path, monkeypatch):
    pytest.importorskip("monai")
    monkeypatch.chdir(tmp_path)
    (script,) = _blocks("python")
    exec(compile(script, "make_slabs.py", "exec"), {})
    description, new = Path("brain.yaml"), Path("new.yaml")
    description.write_text(DESCRIPTIONS[0], encoding="utf-8")
    (text,) = (text for text in DESCRIPTIONS if "test: rest" in text)
    new.write_text(text, encoding="utf-8")
    trained = run_train(description, Path("run"), steps=1, device="cpu")
    assert trained["finished"]
    output = Path("predicted")
    made = run_predict(Path("run"), description, output, "test", "best", "cpu")
    assert made["files"] == ["predicted/slab5.nii.gz"]
    scored = run_evaluate(description, output, Path("scores"), "test")
    assert scored["files"] == ["scores.json", "scores.csv"]
    made = run_predict(Path("run"), new, Path("all"), "test", "last", "cpu")
    assert [Path(file).name for file in made["files"]] == [f"slab{i}.nii.gz" for i in range(7)]


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE):
        assert (DOCS / target).exists(), target
