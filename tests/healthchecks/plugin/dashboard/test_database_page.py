"""The page of the database reports in a real Chromium: by keyboard, on a phone, in dark mode, without script."""

import json
import subprocess
import time
from dataclasses import replace

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from healthchecks.sql_reports import page
from healthchecks.sql_reports.store import State, Table
from tests.healthchecks.plugin.dashboard.hostile import HOSTILE
from tests.healthchecks.plugin.dashboard.pictures import opened, set_view
from tests.healthchecks.plugin.dashboard.test_page import violations

DAY = 86400


def states():
    """Every state that a report can be in, with every kind of table and chart."""
    now = time.time()
    rows = [[f"table {number}", str(number * 1000), None if number % 3 else ""] for number in range(40)]
    table = Table(now, ["name", "bytes", "note"], [False, True, False], rows, 40, exact=True, number="39000")
    first = State(
        name="shop/sizes", path="", title="Sizes", description="Of tables.", database="main", group="shop",
        status="ok", message="", expect="value < 100000", chart=("bar", "bytes"), ran=now, duration=0.1, table=table,
    )  # fmt: skip
    old = replace(
        table,
        asked=now - 2 * DAY,
        rows=[["1", "10"], ["2", "-9"], ["3", "100"]],
        columns=["day", "orders"],
        numeric=[True, True],
    )
    odd = replace(
        table, columns=[HOSTILE, "n", ""], rows=[[HOSTILE, "NaN", HOSTILE], ["", "1e-7", "x" * 1000]], exact=False
    )
    return [
        first,
        replace(first, name="shop/orders", title="Orders", status="failed", message="no response within 30 s",
                chart=("line", "orders"), table=old),
        replace(first, name="z", title=HOSTILE, description=HOSTILE, group=HOSTILE, status="error", message=HOSTILE,
                chart=None, table=odd, maintenance=True),
        replace(first, name="never", title="Never", group="", status="skipped", message="no database", table=None),
        replace(first, name="slow", title="Slow", group="", status="slow", table=replace(table, rows=[], count=0)),
        replace(first, name="blocked", title="Blocked", group="", status="blocked", message="behind tcp[vpn]"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def database_page(tmp_path_factory):
    now = time.time()
    numbers = [(now - day * DAY, 100.0 + day % 7) for day in range(89, -1, -1)]
    directory = tmp_path_factory.mktemp("reports")
    assert page.write_tables(directory, states(), page.NAME) == []
    return page.write(directory, states(), {"shop/sizes": numbers, "z": numbers}, "host")


@pytest.mark.parametrize("view", [{}, {"dark": True}, {"width": 390, "height": 844}], ids=str)
def test_axe_finds_no_violation(driver, axe, database_page, view):
    set_view(driver, **view)
    driver.get(database_page.as_uri())
    assert violations(driver, axe) == []


def test_the_w3c_finds_no_error(vnu, database_page):
    done = subprocess.run([*vnu, database_page], capture_output=True, text=True, check=True)
    found = json.loads(done.stderr)["messages"]
    assert [(each.get("lastLine"), each["message"]) for each in found if each["type"] == "error"] == []


def column(driver, place):
    cells = driver.find_elements(By.CSS_SELECTOR, f"#shop\\.orders tbody td:nth-child({place})")
    return [each.text for each in cells]


def test_sorting_by_keyboard(driver, database_page):
    """Numbers as numbers; descending the second time; screen readers know the order."""
    set_view(driver)
    driver.get(database_page.as_uri())
    head = driver.find_element(By.CSS_SELECTOR, "#shop\\.orders th:nth-child(2)")
    button = head.find_element(By.TAG_NAME, "button")
    button.send_keys(Keys.ENTER)
    assert column(driver, 2) == ["-9", "10", "100"]
    assert head.get_attribute("aria-sort") == "ascending"
    button.send_keys(Keys.SPACE)
    assert column(driver, 2) == ["100", "10", "-9"]
    assert head.get_attribute("aria-sort") == "descending"


def test_nothing_but_tables_scrolls_sideways(driver, database_page):
    set_view(driver, width=390, height=844)
    driver.get(database_page.as_uri())
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_without_script_everything_is_there(chromium, database_page):
    with opened(chromium, script=False) as driver:
        driver.get(database_page.as_uri())
        body = driver.find_element(By.TAG_NAME, "body").text
        assert "1 of 5 reports failed, 1 blocked, 1 in maintenance" in body
        assert "The last 90 days: 100 to 106, now 100" in body
        assert column(driver, 2) == ["10", "-9", "100"]
        assert driver.find_elements(By.CSS_SELECTOR, "#shop\\.sizes .bars rect")


def test_links_lead_somewhere(database_page):
    """To CSV files in its directory, and to places on the page."""
    import lxml.html

    document = lxml.html.fromstring(database_page.read_text())
    for link in document.xpath("//a/@href"):
        if link.startswith("#"):
            document.get_element_by_id(link[1:])
        elif link != "index.html":
            assert (database_page.parent / link).is_file()
