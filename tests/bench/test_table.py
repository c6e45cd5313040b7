"""The arithmetic of the table: what a ratio, the best of a group and a reached target are."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.bench import table
from tests.bench.cells import CELLS, GROUPS, Cell, Load, Quantity, Target
from tests.bench.measure import Sample
from tests.bench.servers import SERVERS


def costing(*microseconds: float) -> list[Sample]:
    return [Sample(cpu=cpu, rate=1e6 / cpu) for cpu in microseconds]


def cellOf(*targets: Target, quantity: Quantity = Quantity.cpu) -> Cell:
    return Cell("a cell", Load(), targets, quantity)


class TestAFigure:
    def test_it_is_the_median_of_the_rounds(self) -> None:
        assert table.figure(costing(4.0, 90.0, 5.0), Quantity.cpu) == 5.0

    @pytest.mark.parametrize(
        ("value", "text"), [(0.5678, "0.568"), (24.04, "24"), (161.4, "161"), (10_123.4, "10,123")]
    )
    def test_it_is_shown_with_three_digits(self, value: float, text: str) -> None:
        assert table.shown(value) == text


class TestARatio:
    def test_of_costs_it_is_theirs_over_ours(self) -> None:
        assert table.ratio(costing(4.0), costing(36.0), Quantity.cpu, atMost=False) == 9.0

    def test_of_rates_it_is_ours_over_theirs(self) -> None:
        assert table.ratio(costing(4.0), costing(36.0), Quantity.rate, atMost=False) == pytest.approx(9.0)

    def test_of_what_is_kept_under_it_is_ours_over_theirs(self) -> None:
        ours, theirs = [Sample(memory=5.0)], [Sample(memory=10.0)]
        assert table.ratio(ours, theirs, Quantity.memory, atMost=True) == 0.5

    def test_it_is_taken_in_each_round(self) -> None:
        """In the last two rounds the machine was twice and ten times as slow: for both."""
        assert table.ratio(costing(1.0, 2.0, 10.0), costing(8.0, 16.0, 80.0), Quantity.cpu, atMost=False) == 8.0

    def test_one_disturbed_round_of_three_does_not_count(self) -> None:
        assert table.ratio(costing(1.0, 1.0, 50.0), costing(8.0, 8.0, 8.0), Quantity.cpu, atMost=False) == 8.0

    def test_a_single_figure_holds_for_every_round(self) -> None:
        assert table.ratio(costing(5.0, 6.0, 7.0), costing(3.0), Quantity.cpu, atMost=True) == 2.0


class TestTheBestOfAGroup:
    SAMPLES: ClassVar = {"websockets": costing(23.5, 24.0), "websockets-uvloop": costing(21.0, 99.0, 20.0)}

    def test_it_has_the_least_cost(self) -> None:
        assert table.best(self.SAMPLES, "websockets", Quantity.cpu) == "websockets-uvloop"

    def test_it_has_the_highest_rate(self) -> None:
        assert table.best(self.SAMPLES, "websockets", Quantity.rate) == "websockets-uvloop"

    def test_there_is_none_where_none_was_measured(self) -> None:
        assert table.best(self.SAMPLES, "picows", Quantity.cpu) is None


class TestATarget:
    AT_LEAST = Target("autobahn", 8)
    AT_MOST = Target("wsd", 1.2, atMost=True, subject="wsd-entry")

    @pytest.mark.parametrize(("theirs", "isReached"), [(31.9, False), (32.0, True)])
    def test_it_is_reached_at_its_limit(self, theirs: float, isReached: bool) -> None:
        samples = {"wsd": costing(4.0), "autobahn": costing(theirs)}
        assert table.verdict(cellOf(), self.AT_LEAST, samples).isReached is isReached

    @pytest.mark.parametrize(("entry", "isReached"), [(12.0, True), (12.1, False)])
    def test_another_subject_than_the_cells_may_be_meant(self, entry: float, isReached: bool) -> None:
        samples = {"wsd": costing(10.0), "wsd-entry": costing(entry)}
        assert table.verdict(cellOf(), self.AT_MOST, samples).isReached is isReached

    def test_it_may_be_of_another_quantity_than_the_cell(self) -> None:
        target = Target("zlib", 1.12, atMost=True, quantity=Quantity.wire)
        samples = {"wsd": [Sample(cpu=18.0, wire=336.0)], "zlib": [Sample(wire=300.0)]}
        assert table.verdict(cellOf(), target, samples).isReached is True

    def test_it_is_neither_reached_nor_missed_where_nothing_was_measured(self) -> None:
        assert table.verdict(cellOf(), self.AT_LEAST, {"wsd": costing(4.0)}).isReached is None


class TestTheSummary:
    def test_it_counts_and_names_what_is_missed(self) -> None:
        cell = cellOf(Target("autobahn", 8), Target("picows", 1.1), Target("node", 1.7))
        samples = {"wsd": costing(5.0), "autobahn": costing(50.0), "picows": costing(5.0)}
        assert table.summary([(cell, samples)]) == (
            "1 of 2 targets are reached; not:\n\n- a cell, against picows: 1.00, where at least 1.1 is asked"
        )

    def test_it_is_short_when_nothing_is(self) -> None:
        samples = {"wsd": costing(5.0), "autobahn": costing(50.0)}
        assert table.summary([(cellOf(Target("autobahn", 8)), samples)]) == "1 of 1 targets are reached."


class TestTheRows:
    def test_ours_stands_first_and_each_target_at_its_server(self) -> None:
        cell = cellOf(Target("autobahn", 8), Target("wsd", 1.2, atMost=True, subject="wsd-entry"))
        samples = {"autobahn": costing(36.0), "wsd-entry": costing(5.0), "wsd": costing(4.0)}
        assert table.lines(cell, samples, {"autobahn": "stock Autobahn"}) == [
            "| a cell | wsd | 4 us | 0 | 0 |  |  |  |",
            "|  | stock Autobahn | 36 us | 0 | 0 | 9.00 | >= 8 | yes |",
            "|  | wsd-entry | 5 us | 0 | 0 | 1.25 | <= 1.2 | **no** |",
        ]


class TestTheCells:
    def test_each_has_a_name_of_its_own(self) -> None:
        assert len({cell.name for cell in CELLS}) == len(CELLS)

    @pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
    def test_each_measures_whom_its_targets_name(self, cell: Cell) -> None:
        entrants = {cell.subject, *cell.servers}
        for target in cell.targets:
            if target.quantity is None:
                assert set(GROUPS.get(target.against, (target.against,))) <= entrants
            assert (target.subject or cell.subject) in entrants

    @pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
    def test_each_knows_how_to_start_them(self, cell: Cell) -> None:
        assert {cell.subject, *cell.servers} - {"wsd-alone", "native"} <= set(SERVERS)
