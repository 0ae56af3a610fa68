"""The Debian package as README and docs/debian-package.md install, upgrade and remove it, in a clean Debian.

The tests follow one server through its life, in this order. systemd runs in it where the machine allows that; else the
units' commands are run as their users.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.deployment.root import Machine, blocks
from tests.servers.server import program, until
from tests.servers.systemd import Systemd

_, INSTALL, LOGIN, RUN, PAGE = blocks("README.md", "Install")
GUIDE = "docs/debian-package.md"
PLACE, UNITS = "/usr/lib/servermonitoring", "/lib/systemd/system"
CONFIGURATION, ADDITIONAL = "/etc/servermonitoring.toml", "/etc/servermonitoring.d"
STATE, PAGES = "/var/lib/servermonitoring", "/var/www/servermonitoring"
PASSWORD = "a good one for the test"
WATCH = r"python\S* \S*watchdog watch"
CHANGED_BY_DPKG = (  # by the installation of any package, or by using the machine
    "/var/lib/dpkg", "/var/lib/apt", "/var/log", "/var/cache", "/var/lib/nginx/", "/var/lib/systemd/",
    "/var/tmp/systemd-", "/tmp/systemd-", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",
    "/etc/.pwd.lock", "/etc/ld.so.cache", "/packages", "/proc", "/sys", "/dev", "/run/", "/root/.",
)  # fmt: skip


@pytest.fixture(scope="module")
def packages(built_package, tmp_path_factory) -> Path:
    """Directories with the package, and with a later build of it."""
    directory = tmp_path_factory.mktemp("packages")
    for name in ("release", "later"):
        (directory / name).mkdir()
    shutil.copy(built_package, directory / "release")
    _repack(built_package, directory / "later", "1000:")
    return directory


def _repack(release: Path, later: Path, epoch: str) -> None:
    """Make the later build: the same files, but another version and another example of a configuration."""
    tree = later / "tree"
    subprocess.run(["dpkg-deb", "-R", release, tree], check=True)
    version = subprocess.run(
        ["dpkg-deb", "-f", release, "Version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for path in (tree / "DEBIAN/control", tree / "DEBIAN/preinst"):
        path.write_text(path.read_text().replace(version, f"{epoch}{version}"))
    with (tree / CONFIGURATION[1:]).open("a") as example:
        example.write("# of the later build\n")
    command = ["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", tree, later / "servermonitoring_later.deb"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def server(packages) -> Iterator[Machine]:
    with _started({"/packages": packages}) as new:
        new.let_root_use_sudo()
        new.ignore_load()
        for unit in ("servermonitoring", "servermonitoring-reports", "servermonitoring-clean"):
            folder = new.path(f"/etc/systemd/system/{unit}.timer.d")  # so that the tests alone start runs
            folder.mkdir(parents=True)
            (folder / "never.conf").write_text("[Timer]\nOnCalendar=\nOnCalendar=2099-01-01\n")
        new.run("rm /etc/nginx/sites-enabled/default; mkdir -p /var/www; nginx; useradd --create-home stranger")
        new.before = _files(new)
        yield new


def _started(binds: dict[str, Path]) -> Machine:
    try:
        return Systemd(binds)
    except pytest.skip.Exception:
        return Machine(binds)


@pytest.fixture(scope="module")
def installed(server) -> Machine:
    """README was followed."""
    server.said = server.run(f"cd /packages/release && {INSTALL}")
    server.run(LOGIN, text=f"{PASSWORD}\n{PASSWORD}\n")
    server.said += server.run(RUN)
    server.said += server.run(PAGE, text=f"{PASSWORD}\n")
    return server


def _files(server: Machine) -> set[str]:
    """Each file with its kind, rights, owner and what a link points to; of a regular one its size, too."""
    listed = server.run("find / -xdev -type f -printf '%p %y %m %u:%g %s\\n' -o -printf '%p %y %m %u:%g %l\\n'")
    return {line for line in listed.splitlines() if not line.startswith(CHANGED_BY_DPKG)}


def _start(server: Machine, unit: str) -> str:
    """Run a service once, to its end; return what it wrote, which is in the journal where systemd runs."""
    if isinstance(server, Systemd):
        server.run(f"systemctl start {unit}")
        return ""
    settings = _settings(server, unit)
    command = f"cd {settings.get('WorkingDirectory', '/')} && env {settings.get('Environment', '')} "
    return server.run(command + settings["ExecStart"], user=settings.get("User", "root"))


def _start_watchdog(server: Machine) -> None:
    """Start it again, with no more rights than its unit gives it."""
    unit = "servermonitoring-watchdog.service"
    if isinstance(server, Systemd):
        server.run(f"systemctl restart {unit}")
        return
    for pid in server.pids(WATCH):
        server.run(f"kill {pid}")
    until(lambda: not server.pids(WATCH), what="the end of the watchdog")
    settings = _settings(server, unit)
    rights = ",".join(f"+{each.lower().removeprefix('cap_')}" for each in settings["CapabilityBoundingSet"].split())
    server.run(
        f"nohup setpriv --bounding-set=-all,{rights} env {settings['Environment']} {settings['ExecStart']} "
        "> /var/log/watchdog 2>&1 &"
    )


def _settings(server: Machine, unit: str) -> dict[str, str]:
    text = server.path(f"{UNITS}/{unit}").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def _lintian_errors() -> Iterator[str]:
    """The tags that are errors, except those of Debian's teams. lintian skips the checks that have no other ones."""
    for file in Path("/usr/share/lintian/tags").rglob("*.tag"):
        fields = dict(re.findall(r"^(Tag|Severity): *(\S+)", file.read_text(), re.MULTILINE))
        if fields["Severity"] == "error" and "team" not in file.parts:
            yield fields["Tag"]


def test_lintian_finds_no_error(built_package):
    lintian, errors = program("lintian"), list(_lintian_errors())
    assert len(errors) > 400
    command = [lintian, "--allow-root", "--tags", ",".join(errors), "--fail-on", "error", built_package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if line.startswith("E:")] == []
    assert done.returncode == 0, done.stderr


def test_the_guide_is_followed_word_by_word(installed):
    """Checks and page are there; a configuration with errors would be named, and the unchanged one has none."""
    assert "has the errors above" not in installed.said
    assert re.search(r"All \d+ checks are ok", installed.said), installed.said
    assert '"status": "ok"' in installed.said


def test_user_and_directories_have_their_rights(installed):
    places = f"{STATE} {PAGES} /etc/servermonitoring {ADDITIONAL} {CONFIGURATION} /tmp/watchdog-validated"
    assert installed.run(f"stat -c '%n %U:%G %a' {places}").splitlines() == [
        f"{STATE} servermonitoring:servermonitoring 700",
        f"{PAGES} servermonitoring:www-data 2750",
        "/etc/servermonitoring root:servermonitoring 750",
        f"{ADDITIONAL} root:servermonitoring 750",
        f"{CONFIGURATION} root:servermonitoring 640",
        "/tmp/watchdog-validated root:root 1777",
    ]
    assert "nologin" in installed.run("getent passwd servermonitoring")
    assert installed.run(f"find {PLACE} ! -type l \\( ! -user root -o -perm /022 \\)") == ""
    writable = installed.run("find /usr /etc /lib -xdev -writable ! -type l", user="servermonitoring", status=None)
    assert [line for line in writable.splitlines() if line.startswith("/")] == []


def test_no_file_names_the_place_where_it_was_built(installed):
    assert installed.run(f"grep -rlI --exclude-dir=__pycache__ debian/servermonitoring/usr {PLACE}", status=1) == ""
    assert installed.run(f"grep -rl /opt/servermonitoring {UNITS} /usr/share/servermonitoring", status=1) == ""


def test_the_units_are_what_systemd_accepts_and_leave_little_open(installed):
    units = installed.run(f"ls -d {UNITS}/servermonitoring*").split()
    assert len(units) == 7
    assert installed.run(f"systemd-analyze verify --man=no {' '.join(units)}") == ""
    for unit, most in (("", 25), ("-reports", 25), ("-clean", 25), ("-watchdog", 40)):
        path = f"{UNITS}/servermonitoring{unit}.service"
        installed.run(f"systemd-analyze security --offline=true --threshold={most} {path}")


def test_timers_and_the_watchdog_are_enabled_and_started(installed):
    names = [f"servermonitoring{each}" for each in (".timer", "-reports.timer", "-clean.timer", "-watchdog.service")]
    wanted = installed.run("ls /etc/systemd/system/timers.target.wants /etc/systemd/system/multi-user.target.wants")
    assert set(names) <= set(wanted.split())
    if isinstance(installed, Systemd):
        assert installed.run(f"systemctl is-active {' '.join(names)}").split() == ["active"] * 4
        (listing,) = blocks(GUIDE, "Services")
        assert all(name in installed.run(listing) for name in names[:3])


def test_what_the_timers_start_succeeds(installed):
    """The suite and the reports make new pages, although they may do little."""
    installed.run(f"rm {PAGES}/*.html")
    said = {unit: _start(installed, f"servermonitoring{unit}.service") for unit in ("", "-reports", "-clean")}
    assert said[""] + said["-reports"] == ""
    assert "disk" in installed.path(f"{PAGES}/index.html").read_text()
    assert '"status": "ok"' in installed.path(f"{PAGES}/status.json").read_text()
    assert installed.path(f"{PAGES}/database.html").exists()


def test_the_command_runs_a_part_by_hand(installed):
    """Root becomes the suite's user, so that the service can read what the run has written."""
    assert "`sudo servermonitoring -k disk`" in (ROOT / GUIDE).read_text()
    said = installed.run("sudo servermonitoring -k disk_space")
    assert re.search(r"\d deselected in ", said), said  # and no warning
    owners = installed.run(f"find {STATE} {PAGES} ! -name watchdog.lock -printf '%u\\n' | sort -u")
    assert owners == "servermonitoring\n"


def test_manual_and_completion_name_every_option(installed):
    pages = {
        name: installed.run(f"gzip -dc /usr/share/man/man1/{name}.1.gz") for name in ("servermonitoring", "watchdog")
    }
    for name in ("config", "no-alerts", "export", "schema"):
        assert f"--monitoring-{name}" in pages["servermonitoring"].replace("\\-", "-")
    for name in ("validate", "status", "clean"):
        assert name in pages["watchdog"]
    completion = "/usr/share/bash-completion/completions"
    assert "--monitoring-no-alerts" in installed.run(f"bash -n {completion}/servermonitoring && cat {completion}/*")


def test_the_environment_has_what_optional_keys_need(installed):
    """[alerts] notify sends by its process as the suite's user; and no library is compiled by each run once more."""
    script = "from servermonitoring.delivery.notify_process import services_of as ask; "
    script += "print(ask(['mailto://localhost?from=a@example.com&to=b@example.com'])); "
    script += "import os, sys, apprise, pytest, selenium.webdriver.firefox.webdriver; "
    script += "cached = [each.__cached__ for each in sys.modules.values() if getattr(each, '__cached__', None)]; "
    script += f"print(len(cached) > 300, [each for each in cached if '{PLACE}' in each and not os.path.exists(each)])"
    said = installed.run(f'cd / && {PLACE}/.venv/bin/python -c "{script}"', user="servermonitoring")
    assert said.splitlines() == ["[{'name': 'E-Mail'}]", "True []"]


def test_the_watchdog_kills_with_the_rights_of_its_unit(installed):
    """Another user's browser, its profile, and the record of it for the suite's user, which sees its heartbeat."""
    rules = f"{ADDITIONAL}/rules.toml"
    installed.path(rules).write_text("[watchdog.firefox]\nvalidated_within = 0.01\n")
    installed.run("mkdir /tmp/rust_mozprofileAbCd && cp /usr/bin/python3 /tmp/firefox", user="stranger")
    _start_watchdog(installed)
    installed.until(f"test $(stat -c %U:%a {STATE}/watchdog.json) = servermonitoring:600")
    assert re.search("1 check is ok", installed.run("sudo servermonitoring -k watchdog"))
    sleep = "import time; time.sleep(600)"
    installed.run(
        f"/tmp/firefox -c '{sleep}' -profile /tmp/rust_mozprofileAbCd > /dev/null 2>&1 < /dev/null &", user="stranger"
    )
    installed.until(f"grep 'never validated' {STATE}/kills.jsonl && ! test -e /tmp/rust_mozprofileAbCd")
    assert installed.run(f"stat -c %U {STATE}/kills.jsonl") == "servermonitoring\n"
    installed.run(f"rm {rules} /tmp/firefox")
    _start_watchdog(installed)
    installed.until("watchdog status")


def _status(server: Machine, path: str, *options: str) -> int:
    words = f"curl --silent --output /dev/null --write-out '%{{http_code}}' {' '.join(options)}"
    return int(server.run(f"{words} http://127.0.0.1:8377{path}"))


def test_the_page_is_for_those_who_log_in(installed):
    login = f"--user 'me:{PASSWORD}'"
    assert _status(installed, "/") == 401
    assert _status(installed, "/status.json") == 401
    assert _status(installed, "/status.json", "--user me:wrong") == 401
    assert _status(installed, "/", login) == 200
    assert _status(installed, "/nothing", login) == 404
    assert _status(installed, "/", "--request POST", login) == 403
    (another,) = blocks(GUIDE, "Page")
    installed.run(another, text="theirs\ntheirs\n")
    assert _status(installed, "/", "--user you:theirs") == 200


def test_the_web_server_gives_nothing_but_pages(installed):
    """No list of files, no half-written page, nothing that a link points to; and the headers restrict browsers."""
    login = f"--user 'me:{PASSWORD}'"
    installed.run(f"cd {PAGES}; mkdir -p listed; echo half > .index.html.half; ln -sfn /etc/passwd link")
    assert _status(installed, "/listed/", login) == 404
    assert _status(installed, "/.index.html.half", login) == 403
    assert _status(installed, "/link", login) in (403, 404)
    assert _status(installed, "/../../lib/servermonitoring/history.sqlite", "--path-as-is", login) in (400, 404)
    headers = installed.run(f"curl --silent --head {login} http://127.0.0.1:8377/").lower()
    for header in ("content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "x-frame-options"):
        assert header in headers
    assert "nginx/" not in headers
    installed.run(f"cd {PAGES}; rm -r listed .index.html.half link")


@pytest.mark.parametrize("user", ["stranger", "www-data"])
def test_other_users_can_read_no_secret_and_no_state(installed, user):
    """The web server reads pages, and the hashes of their passwords; a stranger neither."""
    installed.run("install -o root -g servermonitoring -m 640 /dev/null /etc/servermonitoring/database-password")
    passwords = "/etc/nginx/servermonitoring.htpasswd"
    places = f"/etc/servermonitoring {ADDITIONAL} {CONFIGURATION} {STATE} {PAGES} {passwords}"
    files = installed.run(f"find {places} -type f").split()
    assert len(files) >= 6
    readable = installed.run(f"for f in {' '.join(files)}; do test -r $f && echo $f; done; true", user=user).split()
    if user == "www-data":
        assert {passwords, f"{PAGES}/index.html", f"{PAGES}/status.json"} <= set(readable)
        readable = [each for each in readable if each != passwords and not each.startswith(PAGES)]
    assert readable == []
    installed.run(f"ls {STATE} || ls /etc/servermonitoring", user=user, status=2)


def test_each_file_of_the_state_has_a_bound_in_the_guide(installed):
    """A run makes no file that the one before has not made, and only the history grows."""
    chapter = (ROOT / GUIDE).read_text().split("## Disk space\n")[1]
    documented = set(re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`.*?) \|", chapter, re.MULTILINE))))
    before, after = _state_after_a_run(installed), _state_after_a_run(installed)
    assert "history.sqlite" in after
    assert {re.sub(r"(/).*|-(?:shm|wal)$", r"\1", name) for name in after} <= documented
    assert set(after) == set(before)
    grown = {name for name in after if after[name] > before[name] + 100}
    assert {name for name in grown if not name.startswith("history.sqlite")} == set()


def _state_after_a_run(server: Machine) -> dict[str, int]:
    """The size of each file, by its name."""
    _start(server, "servermonitoring.service")
    listed = server.run(f"find {STATE} -type f -printf '%P %s\\n'").splitlines()
    return {name: int(size) for name, size in (line.split() for line in listed)}


def test_an_upgrade_keeps_state_and_configuration(installed):
    """Also when the package has another example. Errors in the configuration are named.

    The watchdog goes on where it would refuse its rules, and is restarted when they are right.
    """
    wrong = "[watchdog.other]\\nmax_memroy = 1\\n[disc.root]\\n"
    installed.run(f"printf '{wrong}' >> {CONFIGURATION}")
    before = installed.run(f"sha256sum {STATE}/history.sqlite")
    watchdog = installed.pids(WATCH)
    (upgrade,) = blocks(GUIDE, "Upgrade")
    said = installed.run(f"cd /packages/later && {upgrade}")
    assert 'did you mean "disk"?' in said
    assert f"servermonitoring: installed, but {CONFIGURATION} has the errors above" in said
    assert re.search(r'max_memroy: unknown key .*; did you mean "max_memory"\?\n.*the watchdog is not restarted', said)
    assert installed.run("dpkg-query -W -f '${Version}' servermonitoring").startswith("1000:")
    assert installed.run(f"tail -n 1 {CONFIGURATION}") == "[disc.root]\n"
    assert "# of the later build" in installed.run(f"cat {CONFIGURATION}.dpkg-dist")
    assert installed.run(f"stat -c '%U:%G %a' {CONFIGURATION}") == "root:servermonitoring 640\n"
    assert installed.run(f"sha256sum {STATE}/history.sqlite") == before
    assert installed.pids(WATCH) == watchdog
    installed.run(f"sed -i -e '/^.watchdog.other/,$d' {CONFIGURATION}")
    said = installed.run("dpkg-reconfigure servermonitoring")
    assert "errors above" not in said
    if isinstance(installed, Systemd):
        assert until(lambda: installed.pids(WATCH)) != watchdog


def test_a_downgrade_is_refused_and_changes_nothing(installed):
    files = f"find {PLACE} -printf '%p %T@\\n' | sort"  # with the compiled ones
    before = installed.run(files)
    said = installed.run("dpkg -i /packages/release/*.deb", status=1)
    assert "cannot read its history" in said
    assert installed.run(files) == before
    status = "dpkg-query -W -f '${Status} ${Version}' servermonitoring"
    assert installed.run(status).startswith("install ok installed 1000:")
    installed.run("sudo servermonitoring")


def test_removal_keeps_configuration_and_state_and_a_purge_leaves_nothing(installed):
    """Also the group to which somebody was added."""
    remove, purge, by_hand = blocks(GUIDE, "Uninstall")
    installed.run("usermod --append --groups servermonitoring stranger")
    for pid in [] if isinstance(installed, Systemd) else installed.pids(WATCH):
        installed.run(f"kill {pid}")
    installed.run(remove)
    installed.run(f"ls -d {PLACE}", status=2)
    installed.run(f"ls {CONFIGURATION} {STATE}/history.sqlite {PAGES}/index.html")
    until(lambda: not installed.pids(WATCH), what="the end of the watchdog")
    installed.run(purge)
    installed.run(by_hand)
    left = _files(installed)
    assert left - installed.before == set()
    assert {line for line in installed.before - left if not line.startswith(ADDITIONAL)} == set()
    assert "servermonitoring" not in installed.run("cat /etc/passwd /etc/group")
