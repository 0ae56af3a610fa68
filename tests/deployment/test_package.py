"""The Debian package in a clean Debian: installed, used, upgraded, removed, purged."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.deployment.root import Machine, machine
from tests.servers.server import program, until

GUIDE = (ROOT / "docs/debian-package.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
PLACE = "/usr/lib/servermonitoring"
CONFIGURATION = "/etc/servermonitoring.toml"
UNITS = "/lib/systemd/system"
CHANGED_BY_DPKG = (  # by the installation of any package, or by using the machine
    "/var/lib/dpkg", "/var/lib/apt", "/var/log", "/var/cache", "/proc", "/sys", "/dev", "/wheels", "/packages", "/tmp/",
    "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/var/lib/systemd/deb-systemd-helper-enabled",
    "/etc/ld.so.cache", "/var/lib/nginx/",
)  # fmt: skip


@pytest.fixture(scope="module")
def packages(built_package, tmp_path_factory) -> Path:
    """A directory with the package, as release.deb, and a later build of it, newer.deb."""
    directory = tmp_path_factory.mktemp("packages")
    shutil.copy(built_package, directory / "release.deb")
    _repack(directory, "1000:")
    return directory


def _repack(directory: Path, epoch: str) -> None:
    """Make the later build: the same files, another version."""
    release, tree = directory / "release.deb", directory / "tree"
    subprocess.run(["dpkg-deb", "-R", release, tree], check=True)
    version = _field(release, "Version")
    for path in (tree / "DEBIAN/control", tree / "DEBIAN/preinst"):
        path.write_text(path.read_text().replace(version, f"{epoch}{version}"))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", tree, directory / "newer.deb"], check=True)
    shutil.rmtree(tree)


def _field(package: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def server(packages) -> Iterator[Machine]:
    with machine({"/packages": packages}) as new:
        new.run("echo 'root ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/root; echo 127.0.0.1 $(hostname) >> /etc/hosts")
        new.before = _files(new)
        yield new


@pytest.fixture(scope="module")
def installed(server) -> Machine:
    server.said = follow(server, "apt-get install --yes ./", "./servermonitoring_*.deb", "/packages/release.deb")
    return server


def follow(server: Machine, beginning: str, *replacement: str) -> str:
    """What the block of the guide that has these words does, with what a test has in its place."""
    (block,) = (each for each in BLOCKS if beginning in each)
    return server.run(block.replace(*replacement) if replacement else block)


def _files(server: Machine) -> set[str]:
    return set(server.run("find / -xdev").splitlines())


def test_lintian_finds_no_error(packages):
    done = subprocess.run(
        [program("lintian"), "--allow-root", "--fail-on", "error", packages / "release.deb"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [line for line in done.stdout.splitlines() if line.startswith("E:")] == []
    assert done.returncode == 0, done.stderr


def test_user_and_directories_have_their_rights(installed):
    """A configuration with errors would be named; the unchanged one has none."""
    assert "has the errors above" not in installed.said
    places = f"/var/lib/servermonitoring /var/www/servermonitoring /etc/servermonitoring {CONFIGURATION}"
    assert installed.run(f"stat -c '%n %U:%G %a' {places}").splitlines() == [
        "/var/lib/servermonitoring servermonitoring:servermonitoring 700",
        "/var/www/servermonitoring servermonitoring:www-data 2750",
        "/etc/servermonitoring root:servermonitoring 750",
        f"{CONFIGURATION} root:servermonitoring 640",
    ]
    assert installed.run("stat -c '%U %a' /tmp/watchdog-validated").strip() == "root 1777"
    assert "nologin" in installed.run("getent passwd servermonitoring")
    writable = installed.run(f"find {PLACE} ! -type l \\( ! -user root -o -perm /022 \\)")
    assert writable == ""


def test_timers_and_the_watchdog_are_enabled(installed):
    wanted = installed.run("ls /etc/systemd/system/timers.target.wants /etc/systemd/system/multi-user.target.wants")
    for name in ("", "-reports", "-clean"):
        assert f"servermonitoring{name}.timer" in wanted
    assert "servermonitoring-watchdog.service" in wanted


def test_no_file_names_the_place_where_it_was_built(installed):
    assert installed.run(f"grep -rlI --exclude-dir=__pycache__ debian/servermonitoring/usr {PLACE}", status=1) == ""
    assert installed.run(f"grep -rl /opt/servermonitoring {UNITS} /usr/share/servermonitoring", status=1) == ""


def _exec_start(server: Machine, unit: str) -> str:
    """The command of a unit, in its directory, with its environment."""
    text = server.path(f"{UNITS}/{unit}").read_text()
    found = {name: re.search(rf"^{name}=(.*)$", text, re.MULTILINE) for name in ("ExecStart", "Environment")}
    assert found["ExecStart"]
    assert found["Environment"]
    return f"cd {PLACE} && env {found['Environment'][1]} {found['ExecStart'][1]}"


def test_a_run_of_the_unit_makes_the_page(installed):
    """The unit's command, as its user; systemd does not run in here."""
    assert installed.run(_exec_start(installed, "servermonitoring.service"), user="servermonitoring") == ""
    page = installed.path("/var/www/servermonitoring/index.html").read_text()
    assert "disk" in page
    assert installed.run(_exec_start(installed, "servermonitoring-reports.service"), user="servermonitoring") == ""


def test_the_command_runs_a_part_by_hand(installed):
    """Root becomes the suite's user, so that the service can read what the run has written."""
    assert "checks" in follow(
        installed, "sudo servermonitoring\n", "sudo servermonitoring", "sudo servermonitoring || :"
    )
    assert "sudo servermonitoring -k disk" in GUIDE
    said = installed.run("sudo servermonitoring -k disk_space", status=None)
    assert re.search(r"\d deselected in ", said), said  # and no warning
    owners = installed.run("find /var/lib/servermonitoring /var/www/servermonitoring -printf '%u\\n' | sort -u")
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


def test_the_watchdog_runs(installed):
    command = _exec_start(installed, "servermonitoring-watchdog.service").removeprefix(f"cd {PLACE} && ")
    installed.run(f"nohup {command} > /var/log/watchdog 2>&1 &")
    until(lambda: "watching" in installed.run("watchdog status", status=None) or installed.pids("watchdog watch"))
    installed.until("test -e /var/lib/servermonitoring/watchdog.json")
    (pid,) = installed.pids(r"python\S* \S*watchdog watch")
    installed.run(f"kill {pid}")
    until(lambda: not installed.pids(r"watchdog watch"), what="its end")


def test_nginx_shows_the_page_to_those_who_have_a_login(installed):
    installed.run("rm -f /etc/nginx/sites-enabled/default; nginx")
    follow(installed, "openssl passwd -6", "openssl passwd -6", "openssl passwd -6 secret")
    status = "curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:8377/"
    assert installed.run(status) == "401"
    assert installed.run(f"{status} --user me:secret") == "200"
    installed.run("nginx -s stop; rm /etc/nginx/sites-enabled/servermonitoring /etc/nginx/servermonitoring.htpasswd")


def test_an_upgrade_keeps_state_and_configuration(installed):
    installed.run(f"echo '# mine' >> {CONFIGURATION}")
    before = installed.run("sha256sum /var/lib/servermonitoring/history.sqlite")
    installed.run("apt-get install --yes /packages/newer.deb")
    assert installed.run("dpkg-query -W -f '${Version}' servermonitoring").startswith("1000:")
    assert installed.run(f"tail -1 {CONFIGURATION}") == "# mine\n"
    assert installed.run(f"stat -c '%U:%G %a' {CONFIGURATION}") == "root:servermonitoring 640\n"
    assert installed.run("sha256sum /var/lib/servermonitoring/history.sqlite") == before


def test_a_downgrade_is_refused_and_changes_nothing(installed):
    said = installed.run("dpkg -i /packages/release.deb", status=1)
    assert "cannot read its history" in said
    assert installed.run("dpkg-query -W -f '${Status} ${Version}' servermonitoring").startswith(
        "install ok installed 1000:"
    )


def test_an_error_in_the_configuration_is_named_by_an_upgrade(installed):
    installed.run(f"cp -p {CONFIGURATION} /root/kept; echo '[disc.root]' >> {CONFIGURATION}")
    said = installed.run("dpkg -i /packages/newer.deb")
    assert "disc" in said
    assert "servermonitoring: installed, but /etc/servermonitoring.toml has the errors above" in said
    installed.run(f"mv /root/kept {CONFIGURATION}")


def test_removal_keeps_configuration_and_state_and_a_purge_leaves_nothing(installed):
    follow(installed, "apt-get remove")
    assert installed.run(f"ls -d {PLACE}", status=2)
    installed.run(f"ls {CONFIGURATION} /var/lib/servermonitoring/history.sqlite /var/www/servermonitoring/index.html")
    installed.run("apt-get purge --yes servermonitoring")
    left = {each for each in _files(installed) - installed.before if not each.startswith(CHANGED_BY_DPKG)}
    assert left == set()
    assert "servermonitoring" not in installed.run("cat /etc/passwd /etc/group")
    gone = {each for each in installed.before - _files(installed) if not each.startswith(CHANGED_BY_DPKG)}
    assert gone <= {"/etc/nginx/sites-enabled/default"}
