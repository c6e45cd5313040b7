"""docs/performance.*: the page and the plot say what the figures beside them say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.bench import plot, report
from tests.bench.cells import CELLS, Cell
from tests.bench.measure import Sample

TWO = {"wsd": [Sample(cpu=4.10049), Sample(cpu=4.2)], "autobahn": [Sample(cpu=37.5), Sample(cpu=37.0)]}


@pytest.fixture
def cell() -> Cell:
    return next(cell for cell in CELLS if cell.name == "32 B x100")


class TestWhatIsKept:
    def test_it_is_read_as_it_was_written_to_four_digits(self, cell: Cell) -> None:
        ((found, samples),) = report.restored({"cells": {cell.name: report.stored(TWO)}})
        assert found is cell
        assert samples == {**TWO, "wsd": [Sample(cpu=4.1), Sample(cpu=4.2)]}

    def test_a_cell_that_is_no_more_is_left_out(self) -> None:
        assert report.restored({"cells": {"a cell of old": {}}}) == []


class TestTheTable:
    def test_a_row_has_each_servers_figure_our_ratio_and_the_target(self, cell: Cell) -> None:
        samples = {**TWO, "picows": [Sample(cpu=4.15)], "wsd-entry": [Sample(cpu=4.15)]}
        row = report.rows([(cell, samples)])[-1]
        assert row == (
            "| 32 B x100 | 4.15 us | 37.2 (x8.98 >= 8) |  |  |  | 4.15 (**x1.00** >= 1.25) |  |  "
            "| by an entry point (x1.00 <= 1.2) |"
        )


class TestThePlot:
    def test_one_is_where_wsd_and_the_peer_are_equal(self) -> None:
        assert plot.LEFT < plot.across(0.5) < plot.across(1) < plot.across(2) < plot.RIGHT

    def test_what_is_beyond_the_axis_is_at_its_end(self) -> None:
        assert (plot.across(0.001), plot.across(1e6)) == (plot.LEFT, plot.RIGHT)

    def test_it_has_a_dot_for_each_peer_and_a_mark_for_each_target(self, cell: Cell) -> None:
        before = ElementTree.fromstring(plot.drawn([(cell, {"wsd": TWO["wsd"]})], report.COLUMNS))
        assert cell.name not in ElementTree.tostring(before, "unicode")
        after = ElementTree.fromstring(plot.drawn([(cell, TWO)], report.COLUMNS))
        name = "{http://www.w3.org/2000/svg}"
        assert len(after.findall(f"{name}circle")) == len(before.findall(f"{name}circle")) + 1
        assert len(after.findall(f"{name}line")) == len(before.findall(f"{name}line")) + 1


class TestThePage:
    def test_its_made_part_and_its_plot_are_those_of_the_figures(self) -> None:
        kept = report.read()
        page = report.PAGE.read_text("utf-8")
        assert page == report.inserted(page, report.part(kept))
        assert report.part(kept) in page
        assert report.PLOT.read_text("utf-8") == plot.drawn(report.restored(kept), report.COLUMNS)
