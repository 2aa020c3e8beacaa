"""The class table."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.classes import ClassTable, SegmentClass, voxel_counts


def test_add_takes_the_lowest_id_that_no_class_has_or_had():
    table = ClassTable.from_ids([2])
    assert [table.add().id, table.add("Tumour").id] == [1, 3]
    table.remove(3)
    assert table.ids == (1, 2)
    assert table.removed_ids == (3,)
    table = ClassTable.from_json(table.to_json())
    assert table.ids == (1, 2)
    assert table.add("Vessel").id == 4
    table.remove(4)
    assert ClassTable.from_json(table.to_json()) == table


def test_a_value_that_is_met_without_a_class_becomes_one_and_a_removed_one_comes_back():
    table = ClassTable()
    table.add("Tumour")
    table.remove(1)
    assert table.covering([1, 7]).ids == (1, 7)
    assert table.ids == ()
    assert table.meet([0, 1, 7, 255])
    assert [(c.id, c.name) for c in table] == [(1, "Tumour"), (7, "Class 7")]
    assert not table.meet([1, 7])
    table.remove(7)
    table.set(SegmentClass(7, "Imported", "#000000"))
    assert len(ClassTable.from_json(table.to_json())) == 2


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
