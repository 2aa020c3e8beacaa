"""YAML files: settings as they are meant, and one clear sentence for what they cannot mean."""

from __future__ import annotations

import pytest

from napari_sslseg.training.dataset.errors import DatasetError
from napari_sslseg.training.dataset.yaml_file import read_yaml


def test_broken_yaml_names_the_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nclasses: {1: [\n")
    with pytest.raises(DatasetError, match="line") as caught:
        read_yaml(path)
    assert "docs" not in str(caught.value)  # which an installed package lacks
    with pytest.raises(DatasetError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    path.write_text("just words")
    with pytest.raises(DatasetError, match="no settings"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: Ren\xe9\n", "is no text in UTF-8; save it as that"),
        (b"labelled: [2020-13-45]\n", r"month must be in 1..12; .* in quotes"),
        (b"name: a: b\n", r"in line 1: mapping values are not allowed here; .* in quotes"),
        (b"name: " + b"[" * 3000, "too deeply nested; .* in quotes"),
    ],
)
def test_what_yaml_cannot_take_is_told_with_what_to_do(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: [1, 2]\naxis: 2\nsize: [3, 4]\n", "'size' stands twice in one .* lines 1 and 3;"),
        ("classes:\n  1: a\n  1: b\n", "'1' stands twice in one block, in lines 2 and 3;"),
        ("classes: {1: a, 1: b}\n", "'1' stands twice in one block, in line 1;"),
        ("a:\n- labelled: [1, 01]\n", "takes 01 in line 2 for the number 1; write it in quotes"),
        ("volumes: {010: {image: a}}\n", "takes 010 in line 1 for the number 8;"),
        ("labelled: [12:30]\n", "takes 12:30 in line 1 for the number 750;"),
    ],
)
def test_what_yaml_would_guess_is_refused(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_equal_keys_of_different_blocks_and_merged_ones_are_none_that_stand_twice(tmp_path):
    path = tmp_path / "a.yaml"
    text = "one: &one {size: 0, axis: -30_000}\ntwo: {<<: *one, size: 1}\nthree: *one\n"
    path.write_text(text, encoding="utf-8-sig")  # as editors on Windows write it
    one = {"size": 0, "axis": -30_000}
    assert read_yaml(path) == {"one": one, "two": {"size": 1, "axis": -30_000}, "three": one}
