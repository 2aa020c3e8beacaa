"""The class table."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.classes import ClassTable, SegmentClass, voxel_counts


def test_add_takes_the_lowest_free_id():
    table = ClassTable()
    assert [table.add().id, table.add("Tumour").id] == [1, 2]
    table.remove(1)
    assert table.add("Again").id == 1
    assert table.name(2) == "Tumour"


def test_a_table_survives_json():
    table = ClassTable.from_ids([0, 3, 7, 255])
    table.rename(3, "Left atrium")
    table.recolor(7, "#010203")
    again = ClassTable.from_json(table.to_json())
    assert again == table
    assert again.ids == (3, 7)


def test_names_of_every_label_value():
    table = ClassTable()
    assert table.name(0) == "Background"
    assert table.name(255) == "Not annotated"
    assert table.name(9) == "Class 9"


@pytest.mark.parametrize("bad", [0, 255, -1, 300])
def test_impossible_ids_are_refused(bad):
    with pytest.raises(ValueError, match="1 to 254"):
        SegmentClass(bad, "x", "#000000")


def test_twice_the_same_id_is_refused():
    one = SegmentClass(1, "a", "#000000")
    with pytest.raises(ValueError, match="id 1"):
        ClassTable([one, one])


def test_voxels_are_counted_however_the_array_lies():
    labels = np.random.default_rng(0).integers(0, 256, (7, 8, 9)).astype(np.uint8)
    for view in (labels, labels.T, labels[::-1, :, ::2], np.asfortranarray(labels), labels[0]):
        assert np.array_equal(voxel_counts(view), np.bincount(view.ravel(), minlength=256))


def test_a_full_table_says_so():
    table = ClassTable.from_ids(range(1, 255))
    with pytest.raises(ValueError, match="254"):
        table.add()
