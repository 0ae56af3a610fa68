"""A page in a real Chromium: opened through Selenium, as a picture, or printed."""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.servers.browsers import NO_POPUPS, Browser, chromium

_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--force-prefers-reduced-motion", NO_POPUPS,
)  # fmt: skip
_PATIENCE = 400  # seconds; axe tests two hundred checks, and the machine may be busy


@contextmanager
def opened(browser: Browser, *, dark: bool = False, script: bool = True) -> Iterator[webdriver.Chrome]:
    """Start a Chromium with a new profile, and end it."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser.binary
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        driver = webdriver.Chrome(options=options, service=Service(browser.driver))
        driver.set_script_timeout(_PATIENCE)
        driver.command_executor.client_config.timeout = _PATIENCE + 20
        try:
            set_view(driver, dark=dark)
            yield driver
        finally:
            driver.quit()


def set_view(driver: webdriver.Chrome, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
    """Set the size of the window, and light or dark mode."""
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def picture(page: Path, target: Path, *, whole: bool = False, script: bool = True, **view: Any) -> None:
    """Write a PNG of the first screen, or of the whole page, in the view of `set_view`."""
    with opened(chromium(), script=script) as driver:
        set_view(driver, **view)
        driver.get(page.absolute().as_uri())
        size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})
        height = size["cssContentSize"]["height"] if whole else size["cssLayoutViewport"]["clientHeight"]
        clip = {"x": 0, "y": 0, "width": size["cssLayoutViewport"]["clientWidth"], "height": height, "scale": 1}
        command = {"captureBeyondViewport": True, "clip": clip}
        target.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", command)["data"]))


def print_page(page: Path, target: Path) -> None:
    """Write a PDF of the page on A4 paper."""
    with opened(chromium()) as driver:
        driver.get(page.absolute().as_uri())
        paper = {"paperWidth": 8.27, "paperHeight": 11.7}
        target.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"]))
