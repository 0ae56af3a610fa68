"""What a real Chromium shows of a page: opened through Selenium, or as a picture."""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.servers.browsers import Browser, chromium

_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--force-prefers-reduced-motion",
)  # fmt: skip


@contextmanager
def opened(browser: Browser, *, dark: bool = False, script: bool = True) -> Iterator[webdriver.Chrome]:
    """A Chromium of its own, which is gone at the end."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser.binary
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        driver = webdriver.Chrome(options=options, service=Service(browser.driver))
        driver.set_script_timeout(180)  # axe looks at two hundred checks, and the machine may be busy
        try:
            look_as(driver, dark=dark)
            yield driver
        finally:
            driver.quit()


def look_as(driver: webdriver.Chrome, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
    """The size of the window, as on a telephone or a desk, by day or by night."""
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def picture(page: Path, target: Path, *, whole: bool = False, script: bool = True, **look: Any) -> None:
    """A PNG of the first screen, or of the whole page, as `look_as` has it."""
    with opened(chromium(), script=script) as driver:
        look_as(driver, **look)
        driver.get(page.absolute().as_uri())
        size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})
        height = size["cssContentSize"]["height"] if whole else size["cssLayoutViewport"]["clientHeight"]
        clip = {"x": 0, "y": 0, "width": size["cssLayoutViewport"]["clientWidth"], "height": height, "scale": 1}
        command = {"captureBeyondViewport": True, "clip": clip}
        target.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", command)["data"]))


def printed(page: Path, target: Path) -> None:
    """A PDF of it on paper of the size A4."""
    with opened(chromium()) as driver:
        driver.get(page.absolute().as_uri())
        paper = {"paperWidth": 8.27, "paperHeight": 11.7}
        target.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"]))
