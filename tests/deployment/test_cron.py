"""cron and supervisord as docs/cron.md has them, in a clean Debian, also on a server that lacks what the suite needs.

The tests follow one server through its life, in this order. What cron mails goes to the same listener as alerts, by a
sendmail that needs no disk.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deployment.root import REPOSITORY, Machine, blocks, machine
from tests.reliability import reliability
from tests.servers.server import program, until

GUIDE = "docs/cron.md"
PORT = 8400
SETTINGS = f"""
[alerts]
webhook = "http://127.0.0.1:{PORT}/hook"
"""
LISTENER = f"""
from http.server import BaseHTTPRequestHandler, HTTPServer
import json

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("/root/received", "a") as file:
            file.write(json.dumps([self.path, body]) + "\\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words): ...

HTTPServer(("127.0.0.1", {PORT}), Handler).serve_forever()
"""
SENDMAIL = f"#!/bin/sh\nexec curl --silent --data-binary @- http://127.0.0.1:{PORT}/mail\n"
SCHEDULED = "/opt/servermonitoring/deploy/scheduled healthchecks"
STATE, PAGES = "/var/lib/servermonitoring", "/var/www/servermonitoring"
CONFIGURATION, CRONTAB = "/etc/servermonitoring.toml", "/etc/cron.d/servermonitoring"
WATCH = r"python\S* \S*watchdog watch"


@pytest.fixture(scope="module")
def followed(repository) -> Iterator[Machine]:
    """The chapter on the installation was followed word by word; supervisord runs as Debian starts it."""
    with machine({"/source": repository}) as new:
        new.let_root_use_sudo()
        new.run("supervisord -c /etc/supervisor/supervisord.conf")
        new.ignore_load()
        new.run("".join(blocks(GUIDE, "Install")).replace(REPOSITORY, "/source"))
        yield new


def test_the_rights_are_those_of_the_package(followed):
    places = f"{STATE} {PAGES} /etc/servermonitoring /etc/servermonitoring.d {CONFIGURATION} /tmp/watchdog-validated"
    assert followed.run(f"stat -c '%U:%G %a' {places}").splitlines() == [
        "servermonitoring:servermonitoring 700", "servermonitoring:www-data 2750", "root:servermonitoring 750",
        "root:servermonitoring 750", "root:servermonitoring 640", "root:root 1777",
    ]  # fmt: skip
    assert runs(followed) == 1
    writable = followed.run("find /opt /etc -writable", user="servermonitoring", status=None).splitlines()
    assert [each for each in writable if each.startswith("/") and "/.cache/pytest" not in each] == []


def test_each_job_of_the_crontab_has_nothing_to_mail(followed):
    """With the variables of the crontab, and no others; it does not wait here."""
    lines = followed.path(CRONTAB).read_text().splitlines()
    variables = " ".join(line for line in lines if re.match(r"[A-Z_]+=", line))
    jobs = [line.split(maxsplit=6)[5:] for line in lines if re.match(r"[*\d]", line)]
    assert len(jobs) == 3
    for user, command in jobs:
        words = shlex.quote(re.sub(r"--delay \d+", "", command))
        assert followed.run(f"env -i {variables} sh -c {words}", user=user) == ""


def test_supervisord_starts_a_killed_watchdog_again(followed):
    followed.until("supervisorctl status | grep RUNNING")
    (pid,) = followed.pids(WATCH)
    followed.run(f"kill -KILL {pid}")
    again = until(lambda: [each for each in followed.pids(WATCH) if each != pid], what="a new watchdog")
    assert len(again) == 1
    followed.until(f"test $(stat -c %U {STATE}/watchdog.json) = servermonitoring")


@pytest.fixture(scope="module")
def installed(followed) -> Machine:
    """With a listener, and without the watchdog; cron starts a run each minute."""
    followed.run("supervisorctl stop servermonitoring-watchdog; rm /etc/cron.d/e2scrub_all")
    followed.run(f"sed -i 's#^[*]/10 #*/1 #' {CRONTAB} && mkdir -p /dev/shm && chmod 1777 /dev/shm")
    for name, text in (("/root/listener.py", LISTENER), ("/usr/sbin/sendmail", SENDMAIL)):
        followed.path(name).write_text(text)
    followed.run("chmod 755 /usr/sbin/sendmail; python3 /root/listener.py > /dev/null 2>&1 < /dev/null &")
    with followed.path(CONFIGURATION).open("a") as configuration:
        configuration.write(SETTINGS)
    return followed


@pytest.fixture
def server(installed) -> Machine:
    """With nothing received, and nothing remembered of earlier alerts."""
    installed.run(f": > /root/received; rm -rf {STATE}/* /dev/shm/*")
    return installed


def received(server: Machine, path: str) -> list[str]:
    lines = server.path("/root/received").read_text().splitlines()
    return [body for kind, body in map(json.loads, lines) if kind == path]


def alerts(server: Machine) -> list[str]:
    return [json.loads(body)["title"] for body in received(server, "/hook")]


def scheduled(
    server: Machine, before: str = "", configuration: str = CONFIGURATION, *,
    status: int | None = 0, user: str = "servermonitoring",
) -> str:  # fmt: skip
    """What cron would mail of one run."""
    words = f"export SERVERMONITORING_CONFIG={configuration}; {before} {SCHEDULED}"
    return server.run(words, user=user, status=status)


@contextmanager
def everything_full(server: Machine, *, for_root: bool) -> Iterator[list[str]]:
    """On each directory in which the suite's user may make a file: a file system with no space left."""
    words = "find / -xdev -type d -writable -not -path '/proc/*' -prune -print"
    found = server.run(words, user="servermonitoring", status=None).splitlines()
    places = [line for line in found if line.startswith("/")]
    for place in places:
        server.run(f"rm -rf /root/keep && cp -a {place} /root/keep")
        mount(server, place, keeps_some_for_root=not for_root)
        server.run(f"cp -a /root/keep/. {place} && chown --reference=/root/keep {place}")
        server.run(f"cat /dev/zero > {place}/filler", user="servermonitoring", status=1)
        server.run(
            f"while echo 1234 > {place}/more$n; do n=$((n + 1)); done", user="servermonitoring"
        )  # the last blocks
        server.run(f"echo 1234 > {place}/one_more", user="servermonitoring", status=1)
        server.run(f"echo 1234 > {place}/of_root", status=int(for_root))
    try:
        yield places
    finally:
        for place in places:
            server.run(f"umount -l {place}")


def mount(server: Machine, place: str, *, keeps_some_for_root: bool) -> None:
    """A small file system: ext4, which keeps a part for root, or memory, which does not."""
    if not keeps_some_for_root:
        server.run(f"mount -t tmpfs -o size=8m none {place}")
        return
    root = server.directory / "tmpfs"
    image = root / f"{place.replace('/', '-')}.ext4"
    script = (
        f"truncate -s 16M {image} && {program('mkfs.ext4')} -q -b 4096 -m 20 -O ^has_journal {image} && "
        f"mount -o loop,nodelalloc {image} {root}/root{place}"
    )
    done = subprocess.run(
        [*server.words()[:4], "sh", "-c", script], capture_output=True, text=True, check=False
    )  # in its mounts, with our own root directory
    if "loop" in done.stderr:
        pytest.skip("missing: loop devices")
    assert done.returncode == 0, done.stderr


@contextmanager
def cron(server: Machine) -> Iterator[None]:
    """In a hurry: a minute takes five seconds."""
    hurried = "LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketime.so.1) FAKETIME='+0 x12'"
    server.run(f"{hurried} cron > /dev/null 2>&1 < /dev/null")
    try:
        yield
    finally:
        server.run("kill $(cat /run/crond.pid)")
        words = "deploy/scheduled|bin/pytest healthchecks"
        until(lambda: not server.pids(words), 120, what="the end of the last run", every=0.2)


def runs(server: Machine) -> int:
    """How many are in the history; 0 while there is none."""
    script = f"import sqlite3; database = sqlite3.connect('file:{STATE}/history.sqlite?mode=ro', uri=True); "
    script += "print(*database.execute('SELECT count(*) FROM runs').fetchone())"
    said = server.run(f'python3 -c "{script}"', user="servermonitoring", status=None)
    return int(said) if said.strip().isdecimal() else 0


@reliability(
    "Scheduled runs",
    fault="every file system that the suite's user may write to is full",
    promise="cron's mail says so, the webhook gets an alert, and the next run after is normal",
)
def test_every_disk_full(server):
    scheduled(server)  # what a server has after a first run
    before = runs(server)
    with everything_full(server, for_root=False) as places, cron(server):
        assert {"/tmp", "/var/tmp", "/dev/shm", STATE, PAGES} <= set(places)
        until(lambda: received(server, "/mail"), 120, what="cron's mail")
    mail = received(server, "/mail")[0]
    assert re.search(
        r"^Subject: Cron <root@.*scheduled --user servermonitoring --delay 30 --timeout 540 healthchecks$",
        mail,
        re.MULTILINE,
    )
    assert "No space left on device" in mail
    assert "the run finished but could not store, show or send all results: " in mail
    assert any(title.startswith("suite[history]") for title in alerts(server))
    assert scheduled(server) == ""
    assert runs(server) == before + 1


@reliability(
    "Scheduled runs",
    fault="the disks are full for root, too, so that cron itself can mail nothing",
    promise="the webhook gets an alert, and the next run after is normal",
)
def test_every_disk_full_for_root_too(server):
    """Debian's cron keeps what it will mail in /tmp."""
    with everything_full(server, for_root=True), cron(server):
        until(lambda: alerts(server), 120, what="an alert")
    assert any(title.startswith("suite[history]") for title in alerts(server))
    assert scheduled(server) == ""
    assert runs(server) == 1


def test_all_is_as_it_should_be_with_cron(server):
    """No mail from runs without a fault."""
    with cron(server):
        until(lambda: runs(server) >= 2, 120, what="two runs", every=0.5)
    assert received(server, "/mail") == []


@reliability(
    "Scheduled runs",
    fault="the suite's user is given no more processes or threads",
    promise="an alert says so, whether the run could be started or not",
)
def test_no_threads(server):
    home = "/var/tmp/scarce"
    server.run(  # a user without other processes, also outside of this machine
        f"useradd -u 54321 -d {home} -G servermonitoring scarce && mkdir -p {home} && "
        f"sed 's#{STATE}#{home}/state#; s#{PAGES}#{home}/html#' /etc/servermonitoring.toml > {home}/scarce.toml && "
        f"cp -r /etc/servermonitoring.d {home}/scarce.d && "
        f"chown -R scarce {home}"
    )
    configuration, seen = f"{home}/scarce.toml", ""
    for processes in range(1, 6):
        server.run(f"rm -rf {home}/state/* /dev/shm/* && mkdir -p {home}/state; : > /root/received", user="root")
        server.run(f"chown scarce {home}/state && chmod 700 {home}/state")
        said = scheduled(server, f"prlimit --nproc={processes}:{processes}", configuration, user="scarce", status=None)
        titles = "\n".join(alerts(server))
        assert "Traceback" not in said + titles
        assert not said or "alert: sent to the webhook" in said
        seen += titles
    assert "the run could not be started: /opt/servermonitoring/.venv/bin/pytest: Resource temporarily" in seen
    assert re.search(r"disk\[root\]: not \w+: the system gives no more threads", seen), seen
    assert scheduled(server, configuration=configuration, user="scarce") == ""
    server.run("userdel scarce")


def test_no_proc(server):
    words = f"SERVERMONITORING_CONFIG=/etc/servermonitoring.toml {SCHEDULED}"
    user = "setpriv --reuid servermonitoring --regid servermonitoring --init-groups"
    server.run(f"unshare --mount sh -c 'umount -l /proc && exec {user} env {words}'")
    document = json.loads(server.path(f"{PAGES}/status.json").read_text())
    statuses = {each["check"]: each["status"] for each in document["checks"]}
    assert (statuses["disk_space"], statuses["host_memory"]) == ("ok", "failed")
    assert [title for title in alerts(server) if "No such file or directory: '/proc/meminfo'" in title]
    assert scheduled(server) == ""


def test_an_upgrade_restarts_the_watchdog(installed):
    installed.run("supervisorctl start servermonitoring-watchdog")
    (pid,) = until(lambda: installed.pids(WATCH))
    installed.run("".join(blocks(GUIDE, "Upgrade")))
    (again,) = until(lambda: installed.pids(WATCH))
    assert again != pid


def test_an_uninstallation_leaves_nothing(installed):
    """First it keeps what it says."""
    jobs, all_else = blocks(GUIDE, "Uninstall")
    installed.run(jobs)
    assert installed.pids(WATCH) == []
    installed.run(f"test ! -e {CRONTAB} && ls {STATE} {PAGES} {CONFIGURATION} /opt/servermonitoring")
    installed.run(all_else)
    left = installed.run("find / -xdev -name '*servermonitoring*' -not -path '/source*'").split()
    assert left == []
    assert "servermonitoring" not in installed.run("cat /etc/passwd /etc/group")
