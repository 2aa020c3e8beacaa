"""Scores by hand."""

from __future__ import annotations

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sslseg.training.dataset import evaluation
from napari_sslseg.training.dataset.description import Dataset, DatasetError
from napari_sslseg.training.dataset.evaluation import Report, score_case

pytest.importorskip("monai")

TWO = Dataset("x", {}, {1: "a", 2: "b"})


def _square(low, high, value=1, size=12):
    array = np.zeros((size, size), np.uint8)
    array[low:high, low:high] = value
    return array


def test_overlap_by_hand():
    scores = score_case(_square(2, 6), _square(4, 8), TWO, (1, 1))["a"]
    assert scores["dice"] == pytest.approx(2 * 4 / 32)
    assert scores["jaccard"] == pytest.approx(4 / 28)


def test_distances_of_shifted_columns_are_the_shift_in_its_unit():
    p, t = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    p[:, 2], t[:, 5] = 1, 1
    scores = score_case(p, t, TWO, (1.0, 0.5))["a"]
    assert scores["hd95"] == pytest.approx(1.5)
    assert scores["asd"] == pytest.approx(1.5)
    volume = score_case(p[:, None], t[:, None], TWO, (1.0, 1.0, 2.0))["a"]
    assert volume["hd95"] == pytest.approx(6)


def test_surface_distances_are_the_same_either_way():
    dataset = SimpleNamespace(classes={1: "a"}, overlapping=False)
    one, two = np.zeros((2, 20, 20), np.uint8)
    one[5:8, 5:8] = two[5:8, 5:8] = 1
    two[5:8, 14:17] = 1
    there, back = (
        score_case(a, b, dataset, (1.0, 1.0))["a"]["asd"] for a, b in ((one, two), (two, one))
    )
    assert there == back > 0


def test_equal_and_missing_classes():
    scores = score_case(_square(2, 6), _square(2, 6), TWO, (1, 1))
    assert scores["a"] == {"dice": 1, "jaccard": 1, "hd95": 0, "asd": 0}
    assert scores["b"]["dice"] == 1
    assert math.isnan(scores["b"]["hd95"])
    missed = score_case(_square(0, 0), _square(2, 6), TWO, (1, 1))["a"]
    assert (missed["dice"], missed["jaccard"]) == (0, 0)
    assert math.isnan(missed["asd"])


def test_pixels_without_annotation_do_not_count():
    truth = _square(2, 6)
    predicted = truth.copy()
    predicted[8:, 8:] = 1
    truth[8:, 8:] = 255
    assert score_case(predicted, truth, TWO, (1, 1))["a"]["dice"] == 1


def test_overlapping_classes_are_scored_each_by_itself():
    dataset = Dataset("x", {}, {1: "a", 2: "b"}, overlapping=True)
    truth = np.stack([_square(2, 6), _square(2, 8)])
    predicted = np.stack([_square(2, 6), _square(2, 6)])
    scores = score_case(predicted, truth, dataset, (1, 1))
    assert scores["a"]["dice"] == 1
    assert scores["b"]["dice"] == pytest.approx(2 * 16 / (16 + 36))
    with pytest.raises(DatasetError, match="shape"):
        score_case(predicted[:, 1:], truth, dataset, (1, 1))


def test_what_is_found_without_annotation_is_no_error_where_classes_overlap():
    dataset = SimpleNamespace(classes={1: "a"}, overlapping=True)
    predicted = np.array([[[1, 1, 0, 0]]], dtype=np.uint8)
    truth = np.array([[[1, 255, 0, 0]]], dtype=np.uint8)
    assert score_case(predicted, truth, dataset, (1.0, 1.0))["a"]["dice"] == 1


def test_summary_and_files(tmp_path):
    report = Report(("a", "b"), "voxels")
    for name, dice in (("one", 0.5), ("two", 0.9)):
        value = {"dice": dice, "jaccard": dice / 2, "hd95": math.nan, "asd": 1.0}
        report.cases[name] = {"a": value, "b": {**value, "dice": 1.0, "hd95": 4.0}}
    summary = report.summary()
    assert summary["a"]["dice"]["mean"] == pytest.approx(0.7)
    assert summary["a"]["dice"]["sd"] == pytest.approx(0.4 / math.sqrt(2))
    assert summary["a"]["hd95"]["undefined"] == 2
    assert summary["mean"]["dice"]["mean"] == pytest.approx((0.75 + 0.95) / 2)
    assert summary["mean"]["hd95"]["mean"] == 4
    head, table = report.write(tmp_path / "scores")
    content = json.loads(head.read_text())
    assert content["cases"]["one"]["a"]["hd95"] is None
    rows = list(csv.reader(table.open()))
    assert rows[0] == ["case", "class", "dice", "jaccard", "hd95", "asd"]
    assert rows[1] == ["one", "a", "0.5", "0.25", "", "1"]
    assert ["mean of 2 cases", "a", "0.7", "0.35", "", "1"] in rows


def test_the_larger_directed_percentile_counts_and_not_that_of_both_together():
    # 100 pixels that the other side has too, and 8 that it has not, at distances 1 to 8.
    t, p = np.zeros((120, 120), np.uint8), np.zeros((120, 120), np.uint8)
    t[0, :100] = 1
    p[0, :108] = 1
    there = np.r_[np.zeros(100), np.arange(1, 9)]
    pooled = np.percentile(np.r_[there, np.zeros(100)], 95)
    found = score_case(p, t, TWO, (1, 1))["a"]["hd95"]
    assert found == pytest.approx(np.percentile(there, 95))
    assert found > pooled + 1


def test_scores_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    report = Report(("a",), "voxels")
    value = {"dice": 0.5, "jaccard": 0.3, "hd95": 1.0, "asd": 1.0}
    report.cases["one"] = {"a": value}
    files = report.write(tmp_path / "scores")
    before = [path.read_bytes() for path in files]
    report.cases["two"] = {"a": value}

    def full(*given):
        raise OSError("full")

    monkeypatch.setattr(evaluation, "_text", full)
    with pytest.raises(OSError, match="full"):
        report.write(tmp_path / "scores")
    assert [path.read_bytes() for path in files] == before
    assert len(list(tmp_path.iterdir())) == 2
