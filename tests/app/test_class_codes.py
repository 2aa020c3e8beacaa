"""The code of a class in DICOM, as a person types it."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QInputDialog

from napari_sslseg.app import class_wishes
from napari_sslseg.volume.project import Project
from napari_sslseg.volume.terminology import Code

pytestmark = pytest.mark.usefixtures("saved_soon", "without_window")


def test_a_typed_code_is_kept_and_shown_and_a_wrong_one_is_one_sentence(
    started, until, monkeypatch
):
    _, panel = started
    session, classes = panel.session, panel.volume.classes
    session.edit_class(1, name="Nodule")
    asked, said = [], []

    def answer(text):
        def get_text(parent, title, label, mode, before):
            asked.append((label, before))
            return text, True

        return get_text

    item = classes.list.item(0)
    monkeypatch.setattr(QInputDialog, "getText", answer("27925004 Nodule of lung"))
    classes._ask_code(item)
    assert session.classes[1].code == Code("27925004", "SCT", "Nodule of lung")
    assert "27925004" in classes.list.item(0).toolTip()
    until(lambda: not session.autosave.pending)
    assert Project.open(session.project.path).classes[1].code is not None

    monkeypatch.setattr(class_wishes, "show_warning", said.append)
    monkeypatch.setattr(QInputDialog, "getText", answer("lung nodule"))
    classes._ask_code(classes.list.item(0))
    assert asked[-1][1] == "27925004 Nodule of lung"  # what was typed before
    assert len(said) == 1
    assert "no code of SNOMED CT" in said[0]
    assert session.classes[1].code == Code("27925004", "SCT", "Nodule of lung")

    monkeypatch.setattr(QInputDialog, "getText", answer(""))
    classes._ask_code(classes.list.item(0))
    assert session.classes[1].code is None


def test_a_code_without_words_means_the_class_as_it_is_called_from_now_on(started):
    _, panel = started
    panel.session.edit_class(1, name="Nodule", code="27925004")
    assert panel.session.classes[1].code == Code("27925004", "SCT", "Nodule")
    assert panel.session.classes.name(1) == "Nodule"
