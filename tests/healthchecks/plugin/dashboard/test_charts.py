"""Charts of metrics: their scale, limits, gaps and words, and the forecast below them."""

import re

import pytest

from healthchecks.plugin.dashboard.line_chart import (
    HEIGHT,
    ChartColumns,
    draw_chart,
    draw_metric,
    forecast_in_words,
    make_columns,
)
from healthchecks.plugin.history.metrics import DAY, MetricColumns, MetricHistory

NOW = 2_000_000_000
_STEP = re.compile(r"([Mml])(-?\d+) ?(-?\d+)|([hv])(-?\d+)")


def drawn(*values, unit="ratio", **options):
    found = [each for each in values if each is not None]
    places = [place for place, each in enumerate(values) if each is not None]
    return draw_chart("used", "7 d", ChartColumns(places, *[found] * 3), unit, width=len(values), **options)


def lines(chart, name):
    """The points of each path of this class: x and y from the top."""
    found = []
    for path in re.findall(rf'<path class="{name}"[^>]* d="([^"]*)"', chart.drawing):
        x = y = 0
        for command, first, second, direction, length in _STEP.findall(path):
            if command == "M":
                x, y = int(first), int(second)
            elif command:
                x, y = x + int(first), y + int(second)
            else:
                x, y = (x + int(length), y) if direction == "h" else (x, y + int(length))
            found.append((x, y))
    return found


def metric(points, limit=0.9, lower_limit=None, unit="ratio"):
    times, values = zip(*points, strict=True) if points else ((), ())
    return MetricHistory("used", unit, limit, lower_limit, MetricColumns(times, *[values] * 3))


def test_the_scale_holds_the_values_and_a_near_limit():
    chart = drawn(0.41, 0.43, limits=[0.9])
    assert (chart.bottom, chart.top) == ("0 %", "100 %")
    (start, end) = lines(chart, "limit")
    assert start[1] == end[1] == pytest.approx(HEIGHT / 10, abs=1)
    (*_, last) = lines(chart, "value")
    assert last == (1, pytest.approx(HEIGHT * 0.57, abs=1))
    assert chart.words == "used, 7 d: 41 % to 43 %, last 43 %, limit 90 %"


def test_a_limit_that_would_flatten_the_values_is_named_only():
    chart = drawn(0.1, 0.2, unit="seconds", limits=[3])
    assert (chart.bottom, chart.top) == ("0 ms", "200 ms")
    assert lines(chart, "limit") == []
    assert chart.words.endswith("last 200 ms, limit 3 s is off the scale")


def test_large_values_with_small_changes_are_not_flat():
    """A database of 41 GB that grows by 1 GB; a temperature below zero."""
    chart = drawn(41e9, 41.5e9, 42e9, unit="bytes")
    assert (chart.bottom, chart.top) == ("40.9 GB", "42.1 GB")
    heights = [y for _, y in lines(chart, "value")]
    assert heights[0] - heights[-1] > HEIGHT * 0.7
    assert drawn(-5, -3, unit="celsius").top == "-2.8 °C"


def test_equal_values_are_one_step():
    assert re.search(r'd="M0 \d+h49"', drawn(*[0.5] * 50, limits=[0.9]).drawing)


def test_missing_values_interrupt_the_line():
    chart = drawn(0.5, 0.5, 0.6, *[None] * 10, 0.5, 0.5)
    assert [x for x, _ in lines(chart, "value")] == [0, 1, 2, 2, 13, 14]
    assert chart.drawing.count("M") == 2


def test_a_chart_has_two_points_at_least():
    assert drawn(0.5) is None
    assert drawn() is None


@pytest.mark.parametrize("values", [(1.7e308, -1.7e308), (5e-324, 0), (0, 0), (-1e-320, -1e-320), (1e300, 1.1e300)])
def test_extreme_values_are_drawn(values):
    chart = drawn(*values, unit="none", limits=[1.7e308, 0, -1.7e308])
    assert all(0 <= y <= HEIGHT for _, y in lines(chart, "value") + lines(chart, "limit"))


def test_points_are_thinned_to_columns_with_their_extremes():
    moments = [(NOW - 100 + 5 * each, each, each + 1, each + 2) for each in range(20)]
    columns = [*zip(*make_columns(MetricColumns(*zip(*moments, strict=True)), NOW, 100, 10), strict=True)]
    assert columns[0] == (0, 0, 1.5, 3)
    assert columns[-1] == (9, 18, 19.5, 21)
    assert len(columns) == 10
    assert make_columns(MetricColumns(), NOW, 100, 10) == ([], [], [], [])


def test_extremes_are_bars_behind_the_line():
    columns = ChartColumns([0, 1], [0.1, 0.2], [0.2, 0.2], [0.8, 0.2])
    chart = draw_chart("used", "7 d", columns, "ratio", width=2)
    (top, bottom) = lines(chart, "extremes")
    assert top[0] == bottom[0] == 0
    assert bottom[1] - top[1] == pytest.approx(HEIGHT * 0.7 / 0.8, abs=2)


def test_a_period_without_more_points_is_left_out():
    def periods(days):
        points = [(NOW - DAY * days * each // 100, 0.5) for each in range(100, -1, -1)]
        return [each.start for each in draw_metric(metric(points), NOW)]

    assert periods(0.9) == ["24 h"]
    assert periods(6) == ["24 h", "7 d"]
    assert periods(89) == ["24 h", "7 d", "90 d"]
    assert draw_metric(metric([]), NOW) == []


def test_a_page_of_many_checks_has_the_charts_of_a_week_only():
    points = [(NOW - DAY * 89 * each // 100, 0.5) for each in range(100, -1, -1)]
    assert [each.start for each in draw_metric(metric(points), NOW, only_week=True)] == ["7 d"]


def test_a_metric_that_grows_has_a_forecast():
    """In words, for the limit above and the one below."""
    grows = [(NOW - 3600 * each, 0.81 - 0.0075 * each / 24) for each in range(24 * 20, -1, -1)]
    assert forecast_in_words(metric(grows), NOW) == "reaches 90 % in 12 d"
    falls = [(time, 1 - value) for time, value in grows]
    assert forecast_in_words(metric(falls, limit=None, lower_limit=0.1), NOW) == "reaches 10 % in 12 d"
    assert forecast_in_words(metric(grows, limit=None), NOW) == ""
    assert forecast_in_words(metric([(NOW - 60, 0.5)]), NOW) == ""
