"""Codes of classes."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts

from napari_sslseg.volume import terminology
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.terminology import (
    ABNORMAL,
    ANATOMY,
    PRIVATE_SCHEME,
    TISSUE,
    Code,
    private_code,
    terms_for,
)


def test_every_built_in_code_is_the_one_that_dicom_uses():
    meanings: dict[str, set[str]] = {}
    for entries in concepts["SCT"].values():
        for value, (meaning, _) in entries.items():
            meanings.setdefault(value, set()).add(meaning.lower())
    assert len(terminology._KNOWN) > 70
    for name in terminology._KNOWN:
        terms = terms_for(name)
        for code in (terms.kind, terms.category):
            assert code.scheme == "SCT"
            assert code.meaning.lower() in meanings.get(code.value, ()), (name, code)


@pytest.mark.parametrize(
    ("name", "value", "category"),
    [
        ("Left atrium", "82471001", ANATOMY),
        ("liver", "10200004", ANATOMY),
        ("Grey_matter", "389081007", TISSUE),
        ("Tumour", "108369006", ABNORMAL),
        ("Kidneys", "64033007", ANATOMY),
    ],
)
def test_names_are_recognised(name, value, category):
    terms = terms_for(name)
    assert (terms.kind.value, terms.category, terms.side) == (value, category, None)


@pytest.mark.parametrize(
    ("name", "side"),
    [("Left kidney", "Left"), ("kidney right", "Right"), ("LEFT-LUNG", "Left")],
)
def test_a_side_is_a_code_of_its_own(name, side):
    terms = terms_for(name)
    assert terms.kind.scheme == "SCT"
    assert terms.side is not None
    assert terms.side.meaning == side


def test_a_chamber_of_the_heart_has_no_side():
    assert terms_for("left ventricle").side is None
    assert terms_for("left ventricle").kind.value == "87878005"


def test_free_text_gets_a_private_code_that_fits_dicom():
    seen = set()
    names = ["Blob", "blob 2", "Knöchel", "骨", "x" * 200, "x" * 199 + "y", "a\\b", "  ", "a/b"]
    for name in names:
        code = terms_for(name).kind
        assert code.scheme == PRIVATE_SCHEME
        assert 0 < len(code.value) <= 16
        assert code.value.isascii()
        assert 0 < len(code.meaning) <= 64
        seen.add(code.value)
        assert terms_for(name).kind == code
    assert len(seen) == len(names) - 1  # a backslash cannot be stored and becomes a slash
    assert private_code("Blob").value == "BLOB"


def test_the_users_code_goes_before_the_name():
    chosen = Code("39607008", "SCT", "Lung")
    terms = terms_for("Liver", chosen)
    assert (terms.kind, terms.category) == (chosen, ANATOMY)
    assert terms_for("Liver", Code("x", "FMA", "y")).category == ANATOMY


@pytest.mark.parametrize("parts", [("", "SCT", "a"), ("1" * 17, "SCT", "a"), ("1", "SCT", "a\\b")])
def test_codes_that_dicom_cannot_store_are_refused(parts):
    with pytest.raises(ValueError, match="characters"):
        Code(*parts)


def test_a_table_keeps_codes_through_json_and_reads_no_others():
    table = ClassTable([SegmentClass(1, "a", "#000000", Code("1", "FMA", "b"))])
    assert ClassTable.from_json(table.to_json()) == table
    other = [{"id": 1, "name": "Atrium", "color": "#000000", "code": "SCT:82471001"}]
    assert ClassTable.from_json(other)[1].code is None


def test_a_new_name_takes_the_code_of_the_old_one_away():
    table = ClassTable([SegmentClass(1, "Lesion", "#000000")])
    table.recode(1, Code("1", "FMA", "b"))
    assert table.rename(1, "Lesion ").code is not None
    assert table.rename(1, "Liver").code is None
    assert table[1].terms.kind.value == "10200004"


def test_codes_are_read_as_people_type_them():
    assert Code.parse("80891009 Heart", "x") == Code("80891009", "SCT", "Heart")
    assert Code.parse(" 80891009 ", "My heart") == Code("80891009", "SCT", "My heart")
    assert Code.parse("DCM:121191 Referenced segment", "x").scheme == "DCM"
    assert Code.parse("  ", "x") is None
    with pytest.raises(ValueError, match="no code of SNOMED CT"):
        Code.parse("heart", "x")
    with pytest.raises(ValueError, match="1 to 16 characters"):
        Code.parse("12345678901234567890 Long", "x")
