"""The live plot: says what it will show, and shows its axes whole."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QGraphicsView

from napari_sslseg.app.agreement_chart import AgreementChart
from napari_sslseg.app.chart import TrainingChart


def test_an_empty_plot_says_what_it_will_show(qtbot):
    chart = TrainingChart()
    qtbot.addWidget(chart)
    chart.resize(320, 120)
    chart.show()
    assert chart.promise.isVisible()
    assert "Loss and Dice" in chart.promise.text()
    assert chart.rect().contains(chart.promise.geometry())
    chart.add_loss(1.0, 0.5)
    assert not chart.promise.isVisible()
    chart.clear()
    assert chart.promise.isVisible()
    chart.add_quality(1.0, 0.5, None)
    assert not chart.promise.isVisible()


def test_the_upper_ends_of_the_axes_have_room_for_their_labels(qtbot):
    chart = TrainingChart()
    qtbot.addWidget(chart)
    chart.resize(320, 120)
    chart.show()
    qtbot.waitUntil(lambda: chart._item.vb.sceneBoundingRect().height() > 20)
    above = chart._item.vb.sceneBoundingRect().top()
    assert above >= chart.fontMetrics().ascent() / 2


def test_a_plot_is_made_when_it_is_shown_with_what_came_before(qtbot):
    chart = TrainingChart()
    qtbot.addWidget(chart)
    chart.set_colors("#101010", "#f0f0f0")
    chart.add_loss(1.0, 0.5)
    chart.add_loss(2.0, 0.25)
    assert not chart.findChildren(QGraphicsView)
    chart.show()
    (view,) = chart.findChildren(QGraphicsView)
    assert view.backgroundBrush().color().name() == "#101010"
    seconds, losses = chart._loss.getData()
    assert list(zip(seconds, losses, strict=True)) == [(1.0, 0.5), (2.0, 0.25)]
    chart.hide()
    chart.show()
    assert len(chart.findChildren(QGraphicsView)) == 1


@pytest.mark.parametrize("kind", [TrainingChart, AgreementChart])
def test_the_name_of_the_lower_axis_is_not_cut_off(qtbot, kind):
    chart = kind()
    qtbot.addWidget(chart)
    chart.show()
    qtbot.waitUntil(lambda: chart._item.vb.sceneBoundingRect().height() > 20)
    name = chart._item.getAxis("bottom").label
    lower = name.mapRectToScene(name.boundingRect()).bottom()
    assert lower <= chart._plot.rect().bottom() + 1
