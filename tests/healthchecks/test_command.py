"""[command.NAME]: plugins of the Monitoring Plugins project, and scripts of every kind."""

import os
import shutil
from pathlib import Path

import pytest

from healthchecks.clients.command import DIRECTORIES
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers.peers import peer
from tests.servers.server import HOST, free_port
from tests.suite import table


def check(name):
    return f"command_status[{name}]"


def statuses(outcome):
    return {name.removeprefix("command_status[")[:-1]: each["status"] for name, each in outcome.checks.items()}


def messages(outcome):
    return {name.removeprefix("command_status[")[:-1]: each["message"] for name, each in outcome.checks.items()}


def command(name, *words, **keys):
    return table("command", name, command=words, **keys)


def script(name, text, **keys):
    return command(name, "sh", "-c", text, **keys)


def mail_server(connection):
    """As much of RFC 5321 as a client says before it quits."""
    connection.sendall(b"220 mail.example.com ESMTP\r\n")
    while line := connection.recv(4096):
        connection.sendall(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 mail.example.com\r\n")


@pytest.fixture
def apt(tmp_path):
    """Options by which apt-get knows nothing but an empty system, where its simulation takes no time."""
    for name in (
        "etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
    ):  # fmt: skip
        (tmp_path / "apt" / name).mkdir(parents=True)
    for name in ("status", "etc/apt/sources.list"):
        (tmp_path / "apt" / name).touch()
    configuration = tmp_path / "apt.conf"
    configuration.write_text(f'Dir "{tmp_path}/apt";\nDir::State::status "{tmp_path}/apt/status";\n')
    return f"--upgrade=-c={configuration} -o Debug::NoLocking=true -s -qq"


@pytest.fixture
def _plugins():
    """Skip the test where there are none; they are called by their names."""
    if shutil.which("check_ping", path=os.pathsep.join(DIRECTORIES)) is None:
        pytest.skip("missing: check_ping")


PING = ("-H", "127.0.0.1", "-p", "1", "-w", "30000,50%", "-c", "40000,60%", "-t", "60")


@pytest.mark.usefixtures("_plugins")
def test_monitoring_plugins(run_suite, apt):
    """Those that a new user tries first, with servers that work, and with none."""
    nobody = str(free_port())
    with peer(mail_server) as port:
        tables = [
            command("ping", "check_ping", *PING, timeout=90),
            command("smtp", "check_smtp", "-H", HOST, "-p", str(port), "-t", "60", timeout=90),
            command("no_smtp", "check_smtp", "-H", HOST, "-p", nobody, timeout=90),
            command("no_time", "check_ntp_time", "-H", HOST, "-t", "20", timeout=90),
            command("apt", "check_apt", "-t", "60", apt, timeout=90),
            command("procs", "check_procs", "-c", "1:100000", "-t", "60", timeout=90),
            command("too_few", "check_procs", "-c", "100000:", "-t", "60", timeout=90),
            *(command(f"dummy{status}", "check_dummy", str(status), "words", timeout=90) for status in range(4)),
            command("warned", "check_dummy", "1", "words", warning="pass", timeout=90),
            command("mistaken", "check_ping", "-H", "127.0.0.1", timeout=90),
        ]
        outcome = run_suite("\n".join(tables))
    assert statuses(outcome) == {
        "ping": "ok", "smtp": "ok", "no_smtp": "failed", "no_time": "failed", "apt": "ok", "procs": "ok",
        "too_few": "failed", "dummy0": "ok", "dummy1": "failed", "dummy2": "failed", "dummy3": "error", "warned": "ok",
        "mistaken": "error",
    }, outcome.output  # fmt: skip
    found = messages(outcome)
    assert found["no_smtp"] == f"connect to address {HOST} and port {nobody}: Connection refused"
    assert found["no_time"] == "NTP CRITICAL: No response from NTP server"
    assert found["too_few"].startswith("PROCS CRITICAL: ")
    assert found["dummy1"] == "WARNING: words"
    assert found["dummy2"] == "CRITICAL: words"
    assert found["dummy3"] == "UNKNOWN: words"
    assert found["mistaken"] == "unknown: <wrta> was not set"
    ping = metrics_of(outcome, check("ping"))
    assert [*ping] == ["rta", "pl"]
    assert 0 < ping["rta"]["value"] < 1
    assert (ping["rta"]["unit"], ping["rta"]["limit"]) == ("seconds", 30)
    assert (ping["pl"]["unit"], ping["pl"]["limit"]) == ("ratio", 0.5)
    assert metrics_of(outcome, check("smtp"))["time"]["unit"] == "seconds"
    assert [*metrics_of(outcome, check("apt"))] == ["available_upgrades", "critical_updates"]
    assert metrics_of(outcome, check("too_few"))["procs"]["lower_limit"] == 100_000
    assert_agrees(outcome, check("too_few"), "procs")


SCRIPTS = {  # script, status, message
    "fine": ("echo all is fine", "ok", ""),
    "silent": ("exit 0", "ok", ""),
    "other": ("echo gone; exit 4", "error",
              "exit status 4 instead of 0 (ok), 1 (warning), 2 (critical) or 3 (unknown): gone"),
    "wordless": ("exit 2", "failed", "critical, without a text"),
    "wordless_warning": ("exit 1", "failed", "warning, without a text"),
    "unknown": ("echo nobody knows; exit 3", "error", "unknown: nobody knows"),
    "crashing": ("echo half; kill -SEGV $$", "error", "ended by SIGSEGV: half"),
    "real_time": ("kill -40 $$", "error", "ended by signal 40, without a text"),
    "complaining": ("echo 'no such table' >&2; exit 2", "failed", "no such table"),
    "long": ("echo bad; echo more; exit 2", "failed", "bad"),
    "colourful": ("printf '\\033[31mbad\\033[0m\\n'; exit 2", "failed", "\ufffd[31mbad\ufffd[0m"),
    "latin": ("printf 'sch\\344big\\n'; exit 2", "failed", "sch\ufffdbig"),
    "reading": ("cat; echo done; exit 2", "failed", "done"),
    "flooding": ("exec yes", "error", "wrote more than 65.5 kB of output, and was ended"),
    "forking": ("setsid sleep 600 & echo started; exit 2", "failed", "started"),
}  # fmt: skip


@reliability(
    "Messages",
    fault="a plugin crashes, floods, forks, says nothing or writes to standard error",
    promise="failed or error with what it said, or that it said nothing",
)
def test_scripts(run_suite):
    outcome = run_suite("\n".join(script(name, text, timeout=90) for name, (text, *_) in SCRIPTS.items()))
    found = messages(outcome)
    assert {name: (status, found[name]) for name, status in statuses(outcome).items()} == {
        name: (status, message) for name, (_, status, message) in SCRIPTS.items()
    }


@reliability(
    "Checks",
    fault="a plugin hangs, is deaf to signals, or leaves a daemon",
    promise="it fails at its timeout with its name, and is gone with all that it has started when the run is over",
)
def test_hanging(run_suite, tmp_path):
    numbers = tmp_path / "numbers"
    texts = {
        "hanging": "sleep 600",
        "deaf": "trap '' TERM HUP INT; sleep 600",
        "daemon": f"env -i setsid sleep 600 > /dev/null 2>&1 & echo $! >> {numbers}; exit 0",
    }
    outcome = run_suite("\n".join(script(name, text, timeout=4) for name, text in texts.items()))
    assert statuses(outcome) == {"hanging": "failed", "deaf": "failed", "daemon": "ok"}
    assert outcome.message(check("hanging")) == "sh has not ended within 4 s"
    assert outcome.message(check("deaf")) == "sh has not ended within 4 s"
    (daemon,) = numbers.read_text().split()
    assert not Path(f"/proc/{daemon}").exists()


MANY = " ".join(f"m{number}={number};9" for number in range(25))


def test_metrics(run_suite):
    """The limits are those at which the check fails; limits that the status contradicts are none."""
    tables = [
        script("strict", "echo 'ok|a=3s;5;7 b=50%;@1:2;60:'"),
        script("lenient", "echo 'ok|a=6s;5;7'; exit 1", warning="pass"),
        script("swap", "echo 'ok|swap=900MB;100;50;0;1000'"),
        script("bad", "echo 'bad|a=8s;5;7 used=90%;;80'; exit 2"),
        script("many", f"echo 'ok|{MANY}'"),
    ]
    outcome = run_suite("\n".join(tables))
    assert statuses(outcome) == {"strict": "ok", "lenient": "ok", "swap": "ok", "bad": "failed", "many": "ok"}
    found = {name: metrics_of(outcome, check(name)) for name in ("strict", "lenient", "swap", "bad", "many")}
    assert found["strict"] == {
        "a": {"value": 3, "unit": "seconds", "limit": 5, "lower_limit": None},
        "b": {"value": 0.5, "unit": "ratio", "limit": None, "lower_limit": None},
    }
    assert found["lenient"]["a"]["limit"] == 7
    assert found["swap"]["swap"] == {"value": 900_000_000, "unit": "bytes", "limit": None, "lower_limit": None}
    assert (found["bad"]["a"]["limit"], found["bad"]["used"]["limit"]) == (5, 0.8)
    assert [*found["many"]] == [f"m{number}" for number in range(20)]
    assert "5 metrics left out: a check has at most 20" in outcome.all_written()


def test_environment_and_directory(run_suite, tmp_path):
    """Relative paths are relative to the configuration file; a program with a slash is one of them."""
    (tmp_path / "plugins").mkdir()
    program = tmp_path / "plugins" / "own"
    program.write_text('#!/bin/sh\necho "$0|" $PWD $LC_ALL $MODE "$@"\necho "$0 $PWD $LC_ALL $MODE $*"\nexit 2\n')
    program.chmod(0o755)
    keys = {"environment": {"MODE": "strict"}, "directory": "plugins"}
    outcome = run_suite(command("own", "plugins/own", "a b", "*", "$HOME", **keys))
    assert outcome.message(check("own")) == f"{program}"
    assert f"{program} {tmp_path}/plugins C strict a b * $HOME" in outcome.all_written()


SECRETS = {"file": "hunter2-of-a-file", "key": "hunter3-by-its-name", "reference": "hunter4-of-the-environment"}


@reliability(
    "Secrets",
    fault="a plugin prints the password that it was given",
    promise="it reaches the plugin, and no output",
)
def test_secrets(run_suite, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text(f"{SECRETS['file']}\n")
    monkeypatch.setenv("DB_PASSWORD", SECRETS["reference"])
    variables = {"COMMUNITY": "file:secret", "PGPASSWORD": SECRETS["key"]}
    text = (
        '[ "$COMMUNITY $PGPASSWORD $1" = "' + " ".join(SECRETS.values()) + '" ] && given=yes; '
        'echo "given: $given, $COMMUNITY, $PGPASSWORD, $1 | $COMMUNITY=1"; echo "$COMMUNITY"; echo "$1" >&2; exit 2'
    )
    (tmp_path / "plugin").write_text(text)
    words = ("sh", str(tmp_path / "plugin"), "${DB_PASSWORD}")
    outcome = run_suite(command("own", *words, environment=variables))
    (tmp_path / "plugin").unlink()
    (tmp_path / "secret").unlink()
    assert outcome.message(check("own")) == "given: yes, [Filtered], [Filtered], [Filtered]"
    assert [secret for secret in SECRETS.values() if secret in outcome.all_written()] == []


WRONG_KEYS = [
    ('command = "check_ping -H \'a b\'"',
     'write a list, with the program and each argument as a text of its own: ["check_ping", "-H", "a b"]'),
    ('command = "it\'s"', "write a list, with the program and each argument as a text of its own"),
    ("command = []", "at least 1 item"),
    ('command = [""]', "begins with an empty text: write the program first"),
    ('command = ["check_ping", 5]', '[command.n4] command[1]: 5: write a text, in quotes: "text"'),
    ('command = ["$USER1$/check_ping"]', "contains $USER1$, a macro of Nagios: write its value"),
    ('command = ["a\\u0000b"]', "contains a zero byte"),
    ('command = ["true"]\nenvironment = { "A=B" = "c" }', "contains a variable without a name, or with = in it"),
    ('command = ["true"]\nenvironment = { A = "a\\u0000b" }', "contains a zero byte"),
    ('command = ["true"]\nenvironment = { A = "file:none" }', "cannot read the secret file"),
    ('command = ["true"]\nwarning = "slow"', "'fail' or 'pass'"),
    ('arguments = ["-H"]', '"command" is missing'),
]  # fmt: skip


def test_wrong_keys(run_suite):
    outcome = run_suite("\n".join(f"[command.n{i}]\n{keys}" for i, (keys, _) in enumerate(WRONG_KEYS)))
    assert outcome.status == 4, outcome.output
    for i, (_, expected) in enumerate(WRONG_KEYS):
        lines = [line for line in outcome.output.splitlines() if f"[command.n{i}" in line]
        assert any(expected in line for line in lines), (i, lines)
