"""What a browser could leave on the machine, with real browsers: processes, directories, downloads."""

import signal
import stat
import sys

import pytest

from tests.reliability import reliability
from tests.servers.browsers import bookmarklet
from tests.servers.server import until
from tests.suite import ProjectSuite, table

DOWNLOADS = """
    import os

    from healthchecks import Target, probe
    from healthchecks.clients.browser import BrowserSession

    SCRIPT = '''
        const click = (href, name) => {
            const link = document.createElement("a");
            link.href = href; link.download = name; document.body.append(link); link.click();
        };
        const asked = async (...ways) => {
            const paths = await fetch("/asked").then(answer => answer.json(), () => []);
            if (ways.every(way => paths.includes("/attachment/" + way))) return;
            await new Promise(resolve => setTimeout(resolve, 100));
            await asked(...ways);
        };
        const start = async () => {
            click("/attachment/link", "link.bin");  // alone: after any other download it would need a permission
            await asked("link");
            const frame = document.createElement("iframe");
            frame.src = "/attachment/frame"; document.body.append(frame);
            window.open("/attachment/window");
            click(URL.createObjectURL(new Blob([new Uint8Array(5000000)])), "blob.bin");
            click("data:application/octet-stream;base64," + btoa("x".repeat(3000000)), "data.bin");
            await asked("frame", "window");
            location = "/attachment/location";
            await asked("location");
            setTimeout(() => { document.title = "over"; }, 3000);
        };
        start();
    '''


    class Page(Target):
        url: str


    @probe
    def large(page: Page) -> list[str]:
        with BrowserSession("chromium") as browser:
            browser.open(page.url)
            browser.run(SCRIPT, "the downloads cannot be started")
            browser.wait(lambda: browser.run("return document.title", "no title") == "over", "not over")
            own = browser._processes.directory
            found = [each for each in (*own.rglob("*"), *own.parent.glob("*")) if each.is_file()]
            return [str(each) for each in found if each.stat().st_size > 900_000]


    def test_downloads(page: Page, large: list[str]) -> None:
        assert not large
"""
SECURE = (
    "javascript:(()=>{const show=()=>{document.getElementById('result').textContent='The bookmarklet works'};"
    "fetch('URL',{mode:'no-cors'}).then(show,show)})()"
)  # a certificate is verified, with whatever result
WAYS = ("frame", "link", "window", "location")


@reliability(
    "Browsers",
    fault="a page starts downloads",
    promise="nothing of them is stored on the disk",
)
@pytest.mark.usefixtures("chromium", "no_process_left")
def test_downloads_are_not_stored(run_suite, website, tmp_path):
    (tmp_path / "test_downloads.py").write_text("\n".join(line[4:] for line in DOWNLOADS.splitlines()))
    toml = table("page", "downloads", url=website.url("/bookmarklet"), timeout=150)
    outcome = run_suite(toml, str(tmp_path / "test_downloads.py"))
    assert {f"/attachment/{way}" for way in WAYS} <= set(website.paths)
    outcome.assert_ok("downloads[downloads]")


@reliability(
    "Browsers",
    fault="a browser keeps settings, caches and databases in its user's home",
    promise="nothing is written there; but authorities that the user trusts count",
)
@pytest.mark.usefixtures("chromium", "no_process_left")
@pytest.mark.parametrize("has_authorities", [False, True])
def test_home_of_the_user(run_suite, website, tmp_path, monkeypatch, has_authorities):
    home = tmp_path / "home"
    home.mkdir()
    if has_authorities:
        (home / ".pki" / "nssdb").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    script = SECURE.replace("URL", website.url("/", tls="good"))
    run_suite(bookmarklet("home", website, bookmarklet=script, timeout=60)).assert_ok("bookmarklet_status[home]")
    assert [each.name for each in home.iterdir()] == [".pki"] * has_authorities
    assert (home / ".pki" / "nssdb" / "cert9.db").exists() == has_authorities


@reliability(
    "Browsers",
    fault="the run is killed, or its terminal closes, while Chromium loads a page",
    promise="no process and no directory of it is left",
)
@pytest.mark.usefixtures("chromium", "no_process_left")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT])
def test_run_that_is_killed(tmp_path, website, number):
    run = ProjectSuite(tmp_path, bookmarklet("cut", website, "/slow?seconds=150", timeout=150)).start()
    until(lambda: website.paths, 150, what="the page was asked for")
    run.send_signal(number)
    run.communicate(timeout=120)


@reliability(
    "Browsers",
    fault="the timeout passes while the driver or the browser is still starting",
    promise="no process and no directory is left",
)
@pytest.mark.usefixtures("chromium", "no_process_left")
@pytest.mark.parametrize("milliseconds", [20, 50, 100, 150, 200, 250, 500])
def test_timeout_while_it_starts(run_suite, website, milliseconds):
    outcome = run_suite(bookmarklet("short", website, timeout=milliseconds / 1000))
    assert outcome.status != 0


@pytest.mark.usefixtures("chromium", "no_process_left")
def test_timeout_while_the_browser_starts(run_suite, website, tmp_path):
    """A browser that hangs, with a daemon of its own; the timeout grows until the driver comes to start it."""
    started, binary = tmp_path / "started", tmp_path / "browser"
    binary.write_text(f"#!/bin/sh\nsetsid -f sleep 600\ntouch {started}\nexec sleep 600\n")
    binary.chmod(stat.S_IRWXU)
    for seconds in (2, 4, 8, 16, 32):
        outcome = run_suite(bookmarklet("hanging", website, binary=binary, timeout=seconds))
        if started.exists():
            break
    assert started.exists()
    assert outcome.message("bookmarklet_status[hanging]").startswith("the browser did not start within ")


@reliability(
    "Browsers",
    fault="a driver starts and never says on which port",
    promise="the check fails in time, and the driver ends with it",
)
@pytest.mark.usefixtures("chromium", "no_process_left")
def test_driver_that_never_names_its_port(run_suite, website, tmp_path):
    driver = tmp_path / "driver"
    driver.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    driver.chmod(stat.S_IRWXU)
    outcome = run_suite(bookmarklet("silent", website, driver=driver, timeout=3))
    message = outcome.message("bookmarklet_status[silent]")
    assert message.startswith(("the driver did not come up in time", "the browser did not start within 3 s"))


@pytest.mark.usefixtures("chromium", "no_process_left")
def test_program_that_cannot_be_started(run_suite, website, tmp_path):
    driver = tmp_path / "driver"
    driver.write_text("no program")
    outcome = run_suite(bookmarklet("none", website, driver=driver))
    assert outcome.message("bookmarklet_status[none]") == f"cannot be started: {driver}: Permission denied"
