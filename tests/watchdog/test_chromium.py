"""Real Chromium, driven by Selenium through chromedriver."""

import os
import subprocess
import sys
import textwrap

from tests.watchdog.kennel import CHROMIUM_OPTIONS, needed, wait_for

RULE = 'process = "chromium"\n'
PROGRAM = textwrap.dedent("""
    import os, signal, sys
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from watchdog.selenium import browser_pid, watched

    binary, chromedriver, url, page, profile, *options = sys.argv[1:]
    settings = webdriver.ChromeOptions()
    settings.binary_location = binary
    for option in (*options, f"--user-data-dir={profile}"):
        settings.add_argument(option)
    driver = watched(webdriver.Chrome(settings, webdriver.ChromeService(chromedriver)))
    print(browser_pid(driver), flush=True)
    driver.get(url)
    print("loaded", flush=True)
    try:
        driver.get(url + page)
        sys.stdin.readline()
        driver.refresh()
    except WebDriverException as error:
        print("failed", flush=True)
    driver.service.process.kill()
    driver.service.process.wait()
    print("went on", flush=True)
""")


def program(kennel, site, page):
    """A program that loads a page and then another one, in a process group of its own."""
    return kennel.start(
        [sys.executable, "-c", PROGRAM, needed("chromium"), needed("chromedriver"), site.url, page,
         kennel.home / "profile", *CHROMIUM_OPTIONS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_blocked_in_a_page_that_never_answers(kennel, watching, site):
    """The browser dies, the program in the same process group gets its error and goes on at once."""
    watch = watching(RULE + "validated_within = 60\nrevalidated_every = 10")
    driving = program(kennel, site, "never")
    pid = int(driving.stdout.readline())
    assert driving.stdout.readline() == "loaded\n"
    assert os.getpgid(pid) == os.getpgid(driving.pid)
    watch.said("killed chromium", 90)
    assert driving.stdout.readline() == "failed\n"
    assert driving.stdout.readline() == "went on\n"
    assert driving.wait(60) == 0
    (kill,) = watch.kills()
    assert (kill["pid"], kill["reason"]) == (pid, "silent")


def test_growing_page(kennel, watching, site):
    """The memory is in a renderer; the browser dies as a whole, once, and no child is taken for another."""
    watch = watching(RULE + 'max_memory = "600MB"\nvalidated_within = 90')
    driving = program(kennel, site, "growing")
    pid = int(driving.stdout.readline())
    assert driving.stdout.readline() == "loaded\n"
    watch.said("watching chromium")
    wait_for(lambda: site.feed(pid, 604), 90)
    (kill,) = watch.kills()
    assert (kill["pid"], kill["reason"]) == (pid, "memory")
    assert 600e6 < kill["memory"] < 630e6, (site.sizes, watch.text())
    driving.stdin.write("\n")
    driving.stdin.flush()
    assert driving.stdout.readline() == "failed\n"
    driving.wait(60)
    wait_for(lambda: "has ended" in watch.text())
