"""The installation as README describes it, in a clean Debian with real cron, supervisord and nginx.

The tests follow one server through its life, in this order; the clock of cron is hurried, nothing else.
"""

import os
import pty
import re
import select

import pytest

from tests.deployment.root import ROOT, Machine, machine
from tests.servers.server import until

GUIDE = (ROOT / "README.md").read_text()
CHAPTER = GUIDE.split("## Install")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", CHAPTER, re.DOTALL)
PASSWORD = "a good one for the test"
PAGE = "http://127.0.0.1:8377"


@pytest.fixture(scope="module")
def server(repository):
    """As Debian starts it: cron, supervisord and nginx run; an administrator may use sudo."""
    with machine({"/source": repository}) as new:
        new.run("useradd --create-home admin && echo 'admin ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers")
        for word in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            new.run(f"echo 'Defaults env_keep += {word}' >> /etc/sudoers")
        new.run("useradd --create-home stranger; echo 127.0.0.1 $(hostname) >> /etc/hosts")
        new.run("rm /etc/nginx/sites-enabled/default; nginx; supervisord -c /etc/supervisor/supervisord.conf")
        yield new


@pytest.fixture(scope="module")
def installed(server):
    """The chapter of the guide, followed word by word; what each block said."""
    said = []
    for block in BLOCKS:
        said.append(follow(server, block))
        if "deploy/install" in block:
            endure_load(server)
    return server, said


def endure_load(server: Machine) -> None:
    """The load is that of the machine under the tests."""
    with server.path("/etc/servermonitoring.toml").open("a") as configuration:
        configuration.write("\n[host]\nmax_load_per_core = 1000\nmax_swap_used = '100%'\nmin_memory_available = 0\n")


def follow(server: Machine, block: str) -> str:
    """One block, typed by the administrator at a terminal, who answers when asked for a password."""
    block = block.replace("https://git.example.com/servermonitoring.git", "/source")
    words = [*server.words(), "setpriv", "--reuid", "admin", "--regid", "admin", "--init-groups", "sh", "-ec", block]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, server.environment | {"HOME": "/home/admin"})
    output, answered = "", 0
    while select.select([terminal], [], [], 120)[0]:
        try:
            output += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the other side is closed
            break
        asked = len(re.findall(r"[Pp]assword[^\n]*:", output))
        if asked > answered:
            answered = asked
            os.write(terminal, f"{PASSWORD}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, f"{block}\n{output}"
    return output


def install(server: Machine, *options: str) -> str:
    return server.run(f"/opt/servermonitoring/deploy/install {' '.join(options)}")


def status_of(server: Machine, path: str, *options: str) -> int:
    words = f"curl --silent --output /dev/null --write-out '%{{http_code}}' {' '.join(options)} {PAGE}{path}"
    return int(server.run(words).strip())


def runs(server: Machine) -> list[int]:
    """When the suite ran, by its own history."""
    script = "import sqlite3; c = sqlite3.connect('/var/lib/servermonitoring/history.sqlite'); "
    script += "print(*[row[0] for row in c.execute('SELECT time FROM runs ORDER BY time')])"
    return [int(each) for each in server.run(f'python3 -c "{script}"', user="servermonitoring").split()]


def test_the_guide_is_followed_word_by_word(installed):
    """Six commands, and checks, page and watchdog are there."""
    _, said = installed
    assert re.search(r"All \d+ checks are ok", said[3]), said[3]
    assert '"status": "ok"' in said[4]
    assert re.search("RUNNING|STARTING", said[5])


def test_it_says_each_thing_it_does(installed):
    said = installed[1][1]
    for line in (
        "system user servermonitoring: created, without a shell",
        "environment /opt/servermonitoring/.venv: created from requirements/server.lock",
        "directory /var/lib/servermonitoring (servermonitoring:servermonitoring 0700): created",
        "directory /var/www/servermonitoring (servermonitoring:www-data 2750): created",
        "directory /etc/servermonitoring (root:servermonitoring 0750): created",
        "directory /etc/servermonitoring.d (root:servermonitoring 0750): created",
        "file /etc/servermonitoring.toml (root:servermonitoring 0640): created",
        "directory /run/servermonitoring (root:root 0755): created",
        "file /etc/tmpfiles.d/servermonitoring.conf (root:root 0644): created",
        "file /etc/cron.d/servermonitoring (root:root 0644): created",
    ):
        assert line in said


def test_the_environment_has_what_optional_keys_need(installed):
    """[alerts] notify sends by its process as the suite's user."""
    server, _ = installed
    script = "from servermonitoring.delivery.notify_process import services_of as ask; "
    script += "print(ask(['mailto://localhost?from=a@example.com&to=b@example.com']))"
    said = server.run(f'cd / && /opt/servermonitoring/.venv/bin/python -c "{script}"', user="servermonitoring")
    assert said == "[{'name': 'E-Mail'}]\n"


def test_a_second_installation_changes_nothing(installed):
    server, _ = installed
    before = everything(server)
    assert install(server) == "nothing to change\n"
    assert everything(server) == before


def everything(server: Machine) -> str:
    """Name, rights and time of last change of all that an installation could touch."""
    return server.run(
        "find /etc /opt/servermonitoring /var/lib/servermonitoring /var/www -not -name '*.pyc' -not -name __pycache__ "
        "-not -name 'watchdog.json' -not -path /var/lib/servermonitoring -printf '%p %u %g %m %T@\\n' | sort"
    )


def test_a_dry_run_says_it_and_does_nothing(installed):
    server, _ = installed
    before = everything(server)
    said = install(server, "--dry-run", "--every", "5")
    assert said.startswith("would change: file /etc/cron.d/servermonitoring: replaced")
    assert everything(server) == before


def test_the_configuration_of_the_user_is_left_alone(installed):
    """Also when a new version ships another example; a broken one is an error, as the suite's user sees it."""
    server, _ = installed
    configuration = server.path("/etc/servermonitoring.toml")
    text = configuration.read_text()
    configuration.write_text(f"{text}\n[disk.root]\npath = '/'\nmax_used = '100%'\nmax_inodes_used = '100%'\n")
    assert install(server) == "nothing to change\n"
    configuration.write_text(f"{text}\n[dsik.root]\n")
    said = server.run("/opt/servermonitoring/deploy/install", status=1)
    assert "the checks do not run as user servermonitoring" in said
    assert 'did you mean "disk"?' in said
    configuration.write_text(text)


def test_cron_runs_the_suite_by_itself(installed):
    """Three runs, at the minute, by the suite's own user."""
    server, _ = installed
    assert "/etc/cron.d/servermonitoring: replaced" in install(server, "--every", "1")
    before = len(runs(server))
    hurried = "LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketime.so.1) FAKETIME='+0 x12'"  # five seconds a minute
    server.run(f"{hurried} cron > /dev/null 2>&1 < /dev/null")
    until(lambda: len(runs(server)) >= before + 3, 60, what="three runs", every=0.5)
    assert server.run("stat -c %U /var/lib/servermonitoring/history.sqlite") == "servermonitoring\n"
    server.run("kill $(cat /run/crond.pid)")
    until(lambda: not server.pids("bin/pytest healthchecks"), 120, what="the end of the last run", every=0.2)


def test_cron_has_nothing_to_mail_but_a_suite_that_cannot_run(installed):
    """Cron mails what its jobs write: here they run with its environment."""
    server, _ = installed
    suite, clean = jobs(server)["healthchecks"], jobs(server)["watchdog clean"]
    configuration = server.path("/etc/servermonitoring.toml")
    text = configuration.read_text()
    assert as_cron_does(server, suite) == (0, "")
    assert as_cron_does(server, clean) == (0, "")
    assert as_cron_does(server, jobs(server)["reports"]) == (0, "")
    configuration.write_text(f"{text}\n[tcp.nobody]\nhost = '127.0.0.1'\nport = 9\n")
    assert as_cron_does(server, suite) == (0, "")
    assert "connection refused" in server.path("/var/www/servermonitoring/status.json").read_text().lower()
    configuration.write_text("[website")
    status, mail = as_cron_does(server, suite)
    configuration.write_text(text)
    assert status == 4
    assert "is not TOML" in mail
    assert "\nthe run ended with exit status 4 before it recorded any result\n" in mail
    assert "\ncommand: /opt/servermonitoring/.venv/bin/pytest healthchecks\n" in mail


def test_jobs_of_cron(installed):
    """Suite, reports, removal of leftovers: each with the environment's own python and a last resort."""
    server, _ = installed
    install(server)
    found = {name: (when, user) for name, (when, user, _) in jobs(server).items()}
    assert found == {
        "healthchecks": ("*/10 * * * *", "root"),
        "reports": ("8 4 * * *", "root"),
        "watchdog clean": ("17 * * * *", "root"),
    }
    commands = [command for _, _, command in jobs(server).values()]
    assert all(
        re.search(
            r"scheduled --user servermonitoring --delay \d+ --timeout \d+ |timeout -s INT -k 30 \d+ \S+/.venv/bin/",
            each,
        )
        for each in commands
    )


def jobs(server: Machine) -> dict[str, tuple[str, str, str]]:
    """Return the jobs of the installed crontab by what they run: time, user, command."""
    lines = server.path("/etc/cron.d/servermonitoring").read_text().splitlines()
    found = [
        re.fullmatch(r"((?:\S+ +){4}\S+) +(\w+) +(.*(?:\.venv/bin/|scheduled (?:--\S+ \S+ )+)(.*))", line)
        for line in lines
    ]
    return {match[4]: (" ".join(match[1].split()), match[2], match[3]) for match in found if match}


def as_cron_does(server: Machine, job: tuple[str, str, str]) -> tuple[int, str]:
    """Exit status and output of a job, with the variables of the crontab and no others; it begins without a delay."""
    _, user, command = job
    command = re.sub(r" --delay \d+", "", command)
    lines = server.path("/etc/cron.d/servermonitoring").read_text().splitlines()
    variables = [line for line in lines if re.match(r"[A-Z_]+=", line)]
    quoted = command.replace("'", "'\\''")
    output = server.run(f"env -i {' '.join(variables)} sh -c '{quoted}'; echo $?", user=user)
    output, _, status = output.rstrip("\n").rpartition("\n") if "\n" in output.rstrip("\n") else ("", "", output)
    return int(status), output and f"{output}\n"


def test_the_watchdog_comes_back_when_killed(installed):
    server, _ = installed
    (pid,) = server.pids("watchdog watch")
    server.run(f"kill -KILL {pid}")
    again = until(lambda: [each for each in server.pids("watchdog watch") if each != pid], 120, what="a new watchdog")
    assert len(again) == 1


def test_the_suite_sees_what_the_watchdog_of_root_does(installed):
    """Its heartbeat and its kills are written for the suite's user."""
    server, _ = installed
    server.until("test -e /var/lib/servermonitoring/watchdog.json")
    assert server.run("stat -c '%U %a' /var/lib/servermonitoring/watchdog.json") == "servermonitoring 600\n"
    said = server.run(
        "cd /opt/servermonitoring && .venv/bin/pytest -v healthchecks/test_watchdog.py",
        user="servermonitoring", status=None,
    )  # fmt: skip
    assert re.search(r"1 check is ok|another run", said), said


def test_the_page_is_for_those_who_log_in(installed):
    server, _ = installed
    assert status_of(server, "/") == 401
    assert status_of(server, "/status.json") == 401
    assert status_of(server, "/status.json", "--user me:wrong") == 401
    assert status_of(server, "/", f"--user 'me:{PASSWORD}'") == 200
    assert status_of(server, "/nothing", f"--user 'me:{PASSWORD}'") == 404
    assert status_of(server, "/", "--request POST", f"--user 'me:{PASSWORD}'") == 403


def test_the_web_server_gives_nothing_but_pages(installed):
    """No list of files, no half-written page, nothing that a link points to; and the headers restrict browsers."""
    server, _ = installed
    login = f"--user 'me:{PASSWORD}'"
    server.run("cd /var/www/servermonitoring; mkdir -p listed; echo half > .index.html.half; ln -sfn /etc/passwd link")
    assert status_of(server, "/listed/", login) == 404
    assert status_of(server, "/.index.html.half", login) == 403
    assert status_of(server, "/link", login) in (403, 404)
    assert status_of(server, "/../../lib/servermonitoring/history.sqlite", "--path-as-is", login) in (400, 404)
    headers = server.run(f"curl --silent --head {login} {PAGE}/").lower()
    for header in ("content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "x-frame-options"):
        assert header in headers
    assert "nginx/" not in headers
    server.run("cd /var/www/servermonitoring; rm -r listed .index.html.half link")


@pytest.mark.parametrize("user", ["stranger", "www-data"])
def test_other_users_can_read_no_secret_and_no_state(installed, user):
    """The web server reads pages, and the hashes of their passwords; a stranger neither."""
    server, _ = installed
    server.run("install -o root -g servermonitoring -m 640 /dev/null /etc/servermonitoring/database-password")
    files = server.run(
        "find /etc/servermonitoring /etc/servermonitoring.toml /var/lib/servermonitoring /var/www/servermonitoring "
        "/etc/nginx/servermonitoring.htpasswd -type f"
    ).split()
    assert len(files) >= 6
    readable = server.run(f"for f in {' '.join(files)}; do test -r $f && echo $f; done; true", user=user).split()
    for_the_web = {"/var/www/servermonitoring/index.html", "/var/www/servermonitoring/status.json",
                   "/etc/nginx/servermonitoring.htpasswd"}  # fmt: skip
    assert {each for each in readable if not each.startswith("/var/www/")} <= for_the_web
    assert (for_the_web <= set(readable)) if user == "www-data" else (readable == [])
    server.run("ls /var/lib/servermonitoring || ls /etc/servermonitoring", user=user, status=2)


def test_the_suite_cannot_change_what_root_runs(installed):
    server, _ = installed
    words = "find /opt/servermonitoring /etc/cron.d /etc/supervisor -writable"
    writable = server.run(words, user="servermonitoring")
    own = "/opt/servermonitoring/.cache/pytest"  # pytest's notes of what failed last
    assert [each for each in writable.split() if not each.startswith(own)] == []


def test_a_new_version_is_installed_and_watched_by(installed):
    """`git pull` and the installation once more: the watchdog is restarted with the new code."""
    server, _ = installed
    (pid,) = until(lambda: server.pids("watchdog watch"))
    server.run("echo '# new' >> /opt/servermonitoring/watchdog/daemon.py")
    assert "environment /opt/servermonitoring/.venv: updated\n" in install(server)
    (again,) = until(lambda: server.pids("watchdog watch"))
    assert again != pid


def test_a_checkout_that_others_can_write_to_is_refused(installed):
    """Root runs what is in it."""
    server, _ = installed
    server.run("cp -r /opt/servermonitoring /home/admin/mine && chown -R admin /home/admin/mine")
    said = server.run("/home/admin/mine/deploy/install", status=1)
    assert "users other than root can write to /home/admin/mine: put the checkout below /opt" in said
    assert "must be run by root" in server.run("/opt/servermonitoring/deploy/install", user="stranger", status=1)
    server.run("rm -r /home/admin/mine")


def test_the_units_are_what_systemd_accepts(installed):
    """Content with every unit, and what they leave open is little."""
    server, _ = installed
    said = install(server, "--systemd")
    assert said.count("/etc/systemd/system/servermonitoring") == 7
    assert "file /etc/cron.d/servermonitoring: removed" in said
    assert not server.pids("watchdog watch")  # under supervisord
    names = "cd /etc/systemd/system && ls servermonitoring*"
    for unit in server.run(names).split():
        assert server.run(f"systemd-analyze verify --man=no /etc/systemd/system/{unit}") == ""
    for unit, most in (("servermonitoring", 25), ("servermonitoring-reports", 25), ("servermonitoring-clean", 25),
                       ("servermonitoring-watchdog", 40)):  # fmt: skip
        path = f"/etc/systemd/system/{unit}.service"
        server.run(f"systemd-analyze security --offline=true --threshold={most} {path}")


def test_back_from_systemd_nothing_runs_twice(installed):
    server, _ = installed
    said = install(server)
    assert said.count("/etc/systemd/system/servermonitoring") == 7
    assert "file /etc/cron.d/servermonitoring (root:root 0644): created" in said
    assert server.run("ls /etc/systemd/system/*monitoring*", status=2)
    assert until(lambda: server.pids("watchdog watch"))


def test_the_watchdog_kills_with_no_more_rights_than_its_unit_gives_it(installed):
    """Another user's browser, its profile, and the record of it for the suite's user."""
    server, _ = installed
    unit = (ROOT / "deploy/systemd/servermonitoring-watchdog.service").read_text()
    rights = re.search(r"^CapabilityBoundingSet=(.*)", unit, re.MULTILINE)[1].lower().replace("cap_", "+").split()
    server.run("mkdir /tmp/rust_mozprofileAbCd && cp /usr/bin/python3 /tmp/firefox", user="stranger")
    server.run(
        "/tmp/firefox -c 'import time; time.sleep(600)' -profile /tmp/rust_mozprofileAbCd >/dev/null 2>&1 & sleep 0.2",
        user="stranger",
    )
    server.path("/tmp/rules.toml").write_text(
        "[watchdog.firefox]\nvalidated_within = 0.01\n[state]\ndirectory = '/var/lib/servermonitoring'\n"
    )
    watch = "/opt/servermonitoring/.venv/bin/watchdog watch --once --config /tmp/rules.toml"
    said = server.run(f"setpriv --bounding-set=-all,{','.join(rights)} {watch}")
    assert "killed firefox" in said
    kept = "/var/lib/servermonitoring/kills.jsonl"
    assert server.run(f"grep -c 'never validated' {kept}; stat -c %U {kept}") == "1\nservermonitoring\n"
    assert not server.path("/tmp/rust_mozprofileAbCd").exists()


def test_uninstalled_it_leaves_what_it_says(installed):
    server, _ = installed
    server.run("/opt/servermonitoring/deploy/uninstall --dry-run")
    assert server.pids("watchdog watch")
    said = server.run("/opt/servermonitoring/deploy/uninstall")
    assert said.splitlines()[-1] == (
        "kept: /var/lib/servermonitoring, /var/www/servermonitoring, /etc/servermonitoring, "
        "/etc/servermonitoring.toml, /etc/servermonitoring.d, "
        "/etc/nginx/servermonitoring.htpasswd, the system user servermonitoring, "
        "this checkout (/opt/servermonitoring)"
    )
    assert server.pids("watchdog watch") == []
    assert server.run("curl --silent " + PAGE, status=7) == ""
    assert server.path("/var/lib/servermonitoring/history.sqlite").exists()


def test_purged_nothing_is_left(installed):
    """But the checkout, which it says, and the records of validated browsers in /tmp."""
    server, _ = installed
    said = server.run("/opt/servermonitoring/deploy/uninstall --purge")
    assert said.splitlines()[-1] == "kept: this checkout (/opt/servermonitoring)"
    found = server.run("find / -xdev -name '*servermonitoring*' -not -path '/source*' -not -path '/opt/*'").split()
    assert [each for each in found if not each.startswith("/var/log/supervisor/")] == []
    assert "servermonitoring" not in server.path("/etc/passwd").read_text() + server.path("/etc/group").read_text()
