"""The page in a real Chromium: by keyboard, on a phone, in dark mode, without script."""

import json
import re
import shutil
import subprocess
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.healthchecks.plugin.dashboard.conftest import SCENES
from tests.healthchecks.plugin.dashboard.hostile import HOSTILE, hostile_page
from tests.healthchecks.plugin.dashboard.pictures import opened, set_view

# In one script: to ask for each of some hundred elements takes seconds.
SEEN = """return [...document.querySelectorAll(arguments[0])].filter(each => {
    const {width, height} = each.getBoundingClientRect();
    return width * height > 0 && each.checkVisibility({opacityProperty: true, visibilityProperty: true});
})"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return hostile_page(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(autouse=True)
def by_day(driver):
    set_view(driver)


def visit(driver, page, fragment=""):
    driver.get("about:blank")
    driver.get(page.as_uri() + fragment)


def seen(driver, selector):
    return driver.execute_script(SEEN, selector)


def await_shown(driver, selector):
    """Wait for what a script of the page does after a click or a key, as soon as the browser runs it."""
    WebDriverWait(driver, 60).until(lambda _: seen(driver, selector))


def text(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector).text


def violations(driver, axe):
    driver.execute_script(axe)
    only = "{resultTypes: ['violations']}"  # of what passes it need not say where
    found = driver.execute_async_script(f"axe.run(document, {only}).then(r => arguments[0](r.violations))")
    return [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found]


VIEWS = [(name, {}) for name in SCENES] + [
    (name, view) for name in SCENES[:4] for view in ({"dark": True}, {"width": 390, "height": 844})
]


@pytest.mark.parametrize(("name", "view"), VIEWS, ids=str)
def test_axe_finds_no_violation(driver, axe, pages, name, view):
    """In each scene, light and dark, on a desktop and on a phone; contrast included."""
    set_view(driver, **view)
    visit(driver, pages[name])
    driver.execute_script("[...document.querySelectorAll('details')].slice(0, 5).forEach(each => { each.open = true })")
    assert violations(driver, axe) == []


def test_the_w3c_finds_no_error(vnu, pages, hostile):
    """Whatever the texts hold; also in the pages that are kept."""
    (kept,) = (pages["cut"].parent / "runs").iterdir()
    files = [*pages.values(), hostile, kept]
    done = subprocess.run([*vnu, *files], capture_output=True, text=True, check=True)
    found = json.loads(done.stderr)["messages"]
    assert [(each["url"], each.get("lastLine"), each["message"]) for each in found if each["type"] == "error"] == []


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("first", "All 14 checks are ok"),
        ("ok", "All 14 checks are ok"),
        ("failing", "2 of 14 checks failed, 1 blocked, 1 in maintenance"),
        ("cut", "Cut off: 7 of 14 checks have no result"),
        ("storm", "50 of 200 checks failed"),
        ("sixty", "All 60 checks are ok"),
    ],
)
def test_headline(driver, pages, name, headline):
    """And the policy of the page refuses nothing of it, or the console would have a message."""
    visit(driver, pages[name])
    assert text(driver, "h1") == headline
    assert driver.title.startswith(headline)
    assert [each["message"] for each in driver.get_log("browser")] == []


def test_what_fails_comes_first_with_since_and_why(driver, pages):
    visit(driver, pages["failing"])
    shop, office = seen(driver, "section[aria-labelledby=failures] .card")
    assert shop.location["y"] < 900, "it is not on the first screen"
    lines = shop.text.splitlines()
    assert lines[:3] == [
        "website[shop]",
        "failed",
        "status 502 instead of 200: “upstream prematurely closed connection”",
    ]
    assert re.search(r"\(1 h [23]\d min, 9 runs\)", lines[3])
    assert re.search(r"\(10 h 1\d min, 62 runs\)", office.text)


def test_every_status_is_shown_in_words(driver, pages):
    visit(driver, pages["failing"])
    statuses = {each.get_attribute("id"): each.text for each in driver.find_elements(By.CSS_SELECTOR, ".check")}
    assert re.search(r"\nblocked\n.*behind tcp\[office\]$", statuses["check-website_access-intranet"], re.DOTALL)
    reporting = statuses["check-database_access-reporting"]
    assert re.search(r"\nmaintenance failed\n.*\nconnection refused by", reporting, re.DOTALL)
    assert re.search(r"^ok$", statuses["check-website_access-home"], re.MULTILINE)


def test_a_large_outage_is_grouped_by_its_causes(driver, pages):
    """The names of the checks come before the message that they share."""
    visit(driver, pages["storm"])
    lines = [each.text.splitlines() for each in seen(driver, ".causes li")]
    assert [(names.partition(" website")[0].partition(" tcp")[0], *rest) for names, *rest in lines] == [
        ("38 checks", "status 502 instead of 200: “upstream prematurely closed connection”", "new in this run"),
        ("12 checks", "no response within 10 s", "new in this run"),
    ]


def test_a_run_that_was_cut_off_says_what_has_no_result(driver, pages):
    visit(driver, pages["cut"])
    assert "The 7 checks without a result show an earlier status." in text(driver, ".banner")
    rows = [each for each in seen(driver, ".row") if "no result" in each.text]
    assert len(rows) == 7
    for each in rows:
        each.find_element(By.TAG_NAME, "summary").click()
        assert "the run was cut off · status of " in each.text


def test_the_changes_are_listed_with_the_kills_of_the_watchdog(driver, pages):
    visit(driver, pages["failing"])
    words = [each.text for each in driver.find_elements(By.CSS_SELECTOR, ".changes .status")]
    expected = ["failure in maintenance", "failure", "watchdog kill", "blocked", "failure", "watchdog kill"]
    assert words[:6] == expected
    assert "firefox-esr: uses 1.3 GB, more than 1.2 GB" in text(driver, ".changes")


@pytest.mark.parametrize(("name", "screens"), [("ok", 1), ("sixty", 2)])
def test_healthy_checks_fit_on_the_screens_of_a_laptop(driver, pages, name, screens):
    """Fourteen on one, sixty on two, one line each."""
    set_view(driver, width=1366, height=768)
    visit(driver, pages[name])
    rows = seen(driver, ".row")
    assert len(rows) == {"ok": 14, "sixty": 60}[name]
    rects = [each.rect for each in rows]
    assert max(each["y"] + each["height"] for each in rects) <= screens * 768
    assert {each["height"] < 40 for each in rects} == {True}


def test_a_row_has_name_status_value_and_uptimes(driver, pages):
    visit(driver, pages["ok"])
    words = text(driver, "#check-website_access-home summary").split()
    assert words[:3] == ["website[home]", "access", "ok"]
    assert " ".join(words[3:9]) == "response time 120 ms of 3"
    assert re.fullmatch(r"s 24 h [\d.]+ % 30 d [\d.]+ %", " ".join(words[9:]))


def test_a_disk_that_fills_has_a_forecast_before_its_row_is_opened(driver, pages):
    visit(driver, pages["ok"])
    assert [each.text for each in seen(driver, ".forecast")] == ["reaches 90 % in 12 d"]
    assert "used 80.7 % of 90 %" in " ".join(text(driver, "#check-disk_space-data summary").split())


def test_a_check_without_a_metric_has_a_chart_of_its_duration(driver, pages):
    visit(driver, pages["ok"], "#check-tcp_access-office")
    (chart,) = seen(driver, ".chart")
    assert re.fullmatch(r"duration, last 60 runs\n[\d.]+ ms\n[\d.]+ ms", chart.text)


def test_a_runbook_is_a_link_or_a_text(driver, pages):
    """Only a URL that a browser opens is a link."""
    visit(driver, pages["failing"])
    shop = driver.find_element(By.CSS_SELECTOR, "#check-website_access-shop")
    assert shop.find_element(By.PARTIAL_LINK_TEXT, "Runbook").get_attribute("href") == "https://wiki.example.com/shop"
    assert "Runbook: call the office" in text(driver, "#check-tcp_access-office")


def test_a_row_opens_by_keyboard(driver, pages):
    """Enter shows what a card has, and closes it."""
    visit(driver, pages["ok"])
    summary = driver.find_element(By.CSS_SELECTOR, "#check-website_access-home summary")
    summary.send_keys(Keys.ENTER)
    (more,) = seen(driver, ".more")
    assert re.search(r"^website access · since .*^uptime$", more.text, re.DOTALL | re.MULTILINE)
    charts = [each.get_attribute("aria-label") for each in seen(driver, "#check-website_access-home .chart svg")]
    assert [each.partition(":")[0] for each in charts] == [f"response time, {each}" for each in ("24 h", "7 d", "90 d")]
    summary.send_keys(Keys.ENTER)
    assert seen(driver, ".more") == []


@pytest.mark.parametrize("name", SCENES)
def test_nothing_is_wider_than_a_phone(driver, pages, name):
    set_view(driver, width=390, height=844)
    visit(driver, pages[name])
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_an_old_page_says_so_in_red(driver, pages, tmp_path):
    """Two intervals after its run; before that it does not."""
    visit(driver, pages["ok"])
    assert seen(driver, ".late") == []
    assert text(driver, ".banner .age").endswith(" ago")
    made = driver.execute_script("return document.body.dataset.made")
    page = tmp_path / "index.html"
    old = pages["ok"].read_text().replace(f'data-made="{made}"', f'data-made="{time.time() - 1201:.0f}"')
    page.write_text(old)
    visit(driver, page)
    (late,) = seen(driver, ".late")
    words = r"This page is 20 min \d+ s old; a new one is due every 10 min\. Do the checks still run\?"
    assert re.fullmatch(words, late.text)
    assert late.value_of_css_property("color") == "rgba(168, 35, 27, 1)"


def test_without_script_the_status_still_shows(chromium, pages):
    """Headline, time, messages, bars and earlier failures; and nothing that would not work."""
    with opened(chromium, script=False) as driver:
        driver.get(pages["failing"].as_uri())
        assert text(driver, "h1").startswith("2 of 14 checks failed")
        assert " UTC" in text(driver, ".banner time")
        assert len(seen(driver, ".bars")) == 14
        assert len(seen(driver, ".run tbody")) == 14
        assert seen(driver, ".search") == []
        driver.find_element(By.CSS_SELECTOR, "#check-website_access-shop .periods summary").click()
        assert "9 runs" in text(driver, "#check-website_access-shop .periods li")


def test_bars_are_read_by_keyboard(driver, pages):
    """Tab reaches them, the arrows move over them; each has time, status, duration and message, also for a reader."""
    visit(driver, pages["failing"])
    strip = driver.find_element(By.CSS_SELECTOR, "#check-website_access-shop .history")
    for _ in range(10):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        if driver.switch_to.active_element == strip:
            break
    strip.send_keys(Keys.ARROW_LEFT)
    description = strip.get_attribute("aria-valuetext")
    assert description.endswith(" · status 502 instead of 200: “upstream prematurely closed connection”")
    assert " · failed · " in description
    assert text(driver, ".tip") == description
    assert strip.get_attribute("aria-valuenow") == "59"
    strip.send_keys(Keys.HOME)
    assert re.search(r" · ok · \d+ ms$", strip.get_attribute("aria-valuetext"))
    strip.send_keys(Keys.ESCAPE)
    assert seen(driver, ".tip") == []


def test_search_and_filter_by_keyboard(driver, pages):
    visit(driver, pages["failing"])
    driver.find_element(By.TAG_NAME, "body").send_keys("/")
    driver.switch_to.active_element.send_keys("5432")
    assert [each.get_attribute("id") for each in seen(driver, ".check")] == ["check-database_access-reporting"]
    assert text(driver, "#found") == "1 of 14 shown"
    driver.switch_to.active_element.clear()
    driver.switch_to.active_element.send_keys(" ", Keys.BACKSPACE, Keys.TAB)
    driver.switch_to.active_element.send_keys("problems")
    assert text(driver, "#found") == "4 of 14 shown"


def test_other_servers_are_groups_with_their_checks(driver, pages):
    """The age of a silent one is red and its checks are grey; the headline counts none of them."""
    visit(driver, pages["cut"])
    assert "failed" not in text(driver, "h1")
    silent, never, fresh = seen(driver, ".peer")
    red = driver.find_element(By.CSS_SELECTOR, ".peer .is-failed .why").value_of_css_property("color")
    ages = {each.text.splitlines()[0]: each.find_element(By.CLASS_NAME, "run-age") for each in (silent, fresh)}
    assert {name: age.value_of_css_property("color") == red for name, age in ages.items()} == {
        "web3": True,
        "web2": False,
    }
    assert " 3 h " in ages["web3"].text
    assert "No status.json of this server so far." in never.text
    assert [each.text for each in fresh.find_elements(By.CSS_SELECTOR, "h3")][:2] == [
        "website_access[shop]", "tcp_access[db]",
    ]  # fmt: skip
    (grey,) = {each.value_of_css_property("color") for each in silent.find_elements(By.CSS_SELECTOR, ".status, .row b")}
    assert grey == driver.find_element(By.CSS_SELECTOR, ".peer .quiet").value_of_css_property("color")


def test_an_age_turns_red_while_the_page_is_open(driver, pages):
    visit(driver, pages["cut"])
    driver.execute_script("document.querySelector('.peer:not(.is-silent) .run-age').dataset.maxAge = 60; showAges()")
    assert len(seen(driver, ".run-age.is-old")) == 2


def test_checks_of_many_other_servers_are_found_where_they_are_folded(driver, pages):
    """What needs attention is not folded; a filter opens the groups, and the end of it closes them."""
    visit(driver, pages["storm"])
    assert [each.text.splitlines()[0] for each in seen(driver, ".peer .check")] == ["website_access[shop]"]
    assert text(driver, ".peer .folded summary").splitlines() == ["19 more", "of web3"]
    search = driver.find_element(By.ID, "words")
    search.send_keys("web4 n012")
    (found,) = seen(driver, ".check")
    assert found.find_element(By.CSS_SELECTOR, "h3 a").get_attribute("href") == (
        "https://web4.example.com/#check-website_access-n012"
    )
    search.send_keys(*[Keys.BACKSPACE] * 9)
    assert len(seen(driver, ".peer .check")) == 1


def test_a_link_to_a_check_can_be_sent(driver, pages):
    """It opens the row of the check."""
    visit(driver, pages["ok"], "#check-tcp_access-office")
    (card,) = seen(driver, ".check:target")
    assert card.text.startswith("tcp[office]")
    assert [each.text.replace("\n", "") for each in seen(driver, ".self")] == ["Link to this check: tcp[office]"]
    assert driver.execute_script("return arguments[0].getBoundingClientRect().top", card) < 900


def test_the_table_of_the_last_run_is_sorted_by_keyboard(driver, pages):
    visit(driver, pages["failing"])
    button = driver.find_element(By.XPATH, "//th/button[text()='Duration']")
    button.send_keys(Keys.ENTER)
    values = [float(each.get_attribute("data-value")) for each in seen(driver, ".run .col-duration")]
    assert values == sorted(values)
    assert len(values) == 14
    button.send_keys(Keys.ENTER)
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    assert "members" in seen(driver, ".run .col-testId")[0].text


def test_log_and_attachments_are_in_the_details(driver, pages):
    visit(driver, pages["failing"], "#check-website_access-shop")
    driver.find_element(By.CSS_SELECTOR, "#check-website_access-shop .numbers a").click()
    await_shown(driver, "tbody:target details[open]")
    details = text(driver, "tbody:target details")
    assert "GET https://shop.example.com/ → 502 Bad Gateway" in details
    assert "<h1>502 Bad Gateway</h1>" in details
    assert driver.find_element(By.CSS_SELECTOR, "tbody:target a[download]").get_attribute("href").startswith("data:")


def test_hostile_text_runs_nothing_and_breaks_nothing(driver, hostile):
    """Markup, quotes, marks for right-to-left, NUL and five megabytes, wherever text can come from outside."""
    set_view(driver, width=390, height=844)
    visit(driver, hostile)
    driver.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert driver.execute_script("return window.hacked") is None
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    assert driver.execute_script("return document.querySelectorAll('script').length") == 2
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    assert "onerror" in driver.find_element(By.TAG_NAME, "body").text
    assert hostile.stat().st_size < 3_000_000
    assert "\0" not in hostile.read_text()
    assert [each["message"] for each in driver.get_log("browser")] == []


def test_hostile_text_would_run_if_it_were_not_escaped(driver, tmp_path):
    """Unescaped and without the policy, the same text runs: the test above can find it."""
    page = tmp_path / "index.html"
    page.write_text(f"<!DOCTYPE html>{HOSTILE}")
    visit(driver, page)
    assert driver.execute_script("return window.hacked") is not None


def test_the_policy_stops_what_escaping_would_let_through(driver, pages, tmp_path):
    """A second net: script and style that are not the page's own do not run."""
    page = tmp_path / "index.html"
    shutil.copy(pages["first"], page)
    page.write_text(
        page.read_text().replace("</main>", f"<p id=p style='color: red' onclick=hacked=1>{HOSTILE}</main>")
    )
    visit(driver, page)
    assert driver.execute_script("return window.hacked") is None
    assert driver.execute_script("return getComputedStyle(p).color") != "rgb(255, 0, 0)"
    driver.get_log("browser")
