"""The Ansible role on two clean Debians that become each other's peers.

The tests follow the hosts through their lives, in this order. Ansible reaches them by its connection for ssh; in ssh's
place a script enters the namespaces of the host.
"""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import ROOT
from tests.deployment.root import Machine
from tests.servers.server import program

ROLE = ROOT / "deploy/ansible"
FIRST, SECOND = "web1.example.com", "web2.example.com"  # of inventory.yml, which the documents show
CONFIGURATION, ADDITIONAL, SECRETS = "/etc/servermonitoring.toml", "/etc/servermonitoring.d", "/etc/servermonitoring"
STATE = "/var/lib/servermonitoring"
METRICS = "/var/lib/prometheus/node-exporter"
PASSWORD, INLINE, TRICKY = "of-all-peers-7f", "in-the-configuration-7f", "{'a': 1} \\n \"quoted\""
VAULT = {
    "vault_peer_password": PASSWORD,
    "vault_sentry_dsn": "http://key-of-sentry-7f@127.0.0.1:9/1",
    "vault_shop_password": TRICKY,
}
SSH = """#!/bin/sh
# OPTIONS… HOST COMMAND
while [ $# -gt 2 ]; do shift; done
exec {words} sh -c "$2"
"""
OF_FIRST = {  # in place of the example's
    "servermonitoring_hostname": "first",
    "servermonitoring_status_url": "https://other.example.com/status.json",
    "servermonitoring_configuration": {
        "website": {"home": {"url": "http://127.0.0.1:9/", "contains": ["Welcome", "a\tb"], "json": {"x.y": True}}},
        "tcp": {"shop": {"host": "127.0.0.1", "port": 9, "runbook": 'say "please"; a \\ stays'}},
        "redis": {"queue": {"host": "127.0.0.1", "user": "monitor", "password": INLINE}},
    },
    "servermonitoring_secrets": {"never": ""},
    "servermonitoring_peer_keys": {"max_age": "30m"},
    "servermonitoring_textfile": f"{METRICS}/servermonitoring.prom",
}
TO_TOML = """
import json, sys
sys.path.insert(0, sys.argv[1])
from servermonitoring import to_toml

class Integer(int):  # as Ansible has them since 2.19
    pass

print(json.dumps([to_toml(each) for each in json.load(sys.stdin, parse_int=Integer)]))
"""
Cases = dict[str, tuple[dict[str, Any], str]]  # variables, and what the message has
REFUSED_BY_ROLE: Cases = {
    "state": ({"servermonitoring_state": "gone"}, "value of servermonitoring_state must be one of: present, absent"),
    "type": ({"servermonitoring_secrets": [PASSWORD]}, "argument 'servermonitoring_secrets' is of type"),
    "package": ({"servermonitoring_package": ""}, 'the path of the package that "make deb" has built'),
    "name": ({"servermonitoring_secrets": {"../shadow": PASSWORD}}, "without a directory"),
    "number": ({"servermonitoring_secrets": {"pin": 123456789}}, "Put them in quotes: pin"),
    "login": ({"servermonitoring_peer_token": PASSWORD}, "servermonitoring_peer_token alone"),
}
REFUSED_WITH_CONFIGURATION: Cases = {
    "peer": ({"servermonitoring_peers": ["web9"]}, "web9 is no host of the inventory"),
    "null": (
        {"servermonitoring_configuration": {"website": {"home": {"url": None}}}},
        "website.home.url has no value: remove the key",
    ),
    "key": (
        {"servermonitoring_configuration": {"redis": {"queue": {"host": "db", "pasword": INLINE}}}},
        'did you mean "password"?',
    ),
    "twice": (
        {"servermonitoring_additional": {"shop": {"tcp": {"shop": {"host": "db", "port": 1}}}}},
        "is in servermonitoring.toml and in servermonitoring.d/shop.toml",
    ),
    "watchdog": (
        {"servermonitoring_configuration": {"watchdog": {"firefox": {"max_memry": "1GB"}}}},
        'did you mean "max_memory"?',
    ),
}
REFUSED = REFUSED_BY_ROLE | REFUSED_WITH_CONFIGURATION


class Fleet:
    """The hosts, and the runs of a playbook on them."""

    def __init__(self, directory: Path, package: Path, hosts: dict[str, Machine]) -> None:
        self.directory, self.hosts, self.said = directory, hosts, ""
        for name, host in hosts.items():
            script = directory / name
            words = [*host.words(), *(f"{key}={value}" for key, value in host.environment.items())]
            script.write_text(SSH.format(words=" ".join(words)))
            script.chmod(0o700)
        (directory / "tests.json").write_text(json.dumps({"all": self._variables(package)}))

    def _variables(self, package: Path) -> dict[str, Any]:
        """What is added to the example."""
        connection = {
            "ansible_ssh_executable": f"{self.directory}/{{{{ inventory_hostname }}}}",
            "servermonitoring_package": str(package),
        }
        return {"hosts": {FIRST: connection | OF_FIRST, SECOND: connection}, "vars": VAULT}

    def play(self, *options: str, playbook: Path = ROLE / "playbook.yml", status: int | None = 0) -> str:
        """Return what ansible-playbook wrote."""
        inventories = "--inventory", ROLE / "inventory.yml", "--inventory", self.directory / "tests.json"
        command = [program("ansible-playbook"), *inventories, *options, playbook]
        done = subprocess.run(
            command, cwd=ROLE, env=self._environment(), text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert status is None or done.returncode == status, done.stdout[-5000:]
        return done.stdout

    def _environment(self) -> dict[str, str]:
        own = {
            "HOME": self.directory, "LOCAL_TEMP": self.directory / "tmp", "NOCOLOR": 1, "PIPELINING": "1",
            "PYTHON_INTERPRETER": "/usr/bin/python3", "ROLES_PATH": ROLE / "roles", "SSH_ARGS": "",
            "SSH_TRANSFER_METHOD": "piped", "SSH_USETTY": "no", "DEPRECATION_WARNINGS": "no",
        }  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        return kept | {"LC_ALL": "C.UTF-8"} | {f"ANSIBLE_{key}": str(value) for key, value in own.items()}

    def read(self, host: str, file: str) -> dict[str, Any]:
        return tomllib.loads(self.hosts[host].path(file).read_text())


def changes(output: str) -> dict[str, int]:
    """The number of changes of each host, by the recap of a run without failures."""
    recap = re.findall(r"^(\S+) .* changed=(\d+) +unreachable=0 +failed=0 ", output, re.MULTILINE)
    return {name: int(number) for name, number in recap}


@pytest.fixture(scope="module")
def fleet(built_package, tmp_path_factory) -> Iterator[Fleet]:
    program("ansible-playbook")
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(Machine()) for name in (FIRST, SECOND)}
        yield Fleet(tmp_path_factory.mktemp("fleet"), built_package, hosts)


@pytest.fixture(scope="module")
def installed(fleet) -> Fleet:
    """The playbook has been run, and has written everything that Ansible can be asked to write."""
    fleet.said = fleet.play("-vvv", "--diff")
    return fleet


def test_ansible_lint_finds_nothing():
    command = [program("ansible-lint"), "--offline", "--nocolor", "--strict"]
    done = subprocess.run(command, cwd=ROLE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "production profile" in done.stderr + done.stdout


def test_check_mode_changes_nothing_on_a_clean_host(fleet):
    assert changes(fleet.play("--check", "--limit", SECOND)) == {SECOND: 1}
    fleet.hosts[SECOND].run(f"ls {CONFIGURATION} /var/cache/servermonitoring.deb", status=2)


def test_each_host_gets_its_configuration(installed):
    assert all(changes(installed.said).values()), installed.said[-3000:]
    directories = {"state": {"directory": STATE}, "dashboard": {"directory": "/var/www/servermonitoring"}}
    metrics = {"metrics": {"textfile": f"{METRICS}/servermonitoring.prom"}}
    main = installed.read(FIRST, CONFIGURATION)
    assert main == directories | metrics | OF_FIRST["servermonitoring_configuration"]
    assert installed.read(SECOND, CONFIGURATION) == directories | {
        "sentry": {"dsn": f"file:{SECRETS}/sentry-dsn"},
        "website": {"home": {"url": "https://app.example.com/", "contains": "Welcome"}},
    }
    assert installed.read(SECOND, f"{ADDITIONAL}/shop.toml")["database"]["shop"]["host"] == "db.example.com"


def test_each_host_is_the_peer_of_the_other(installed):
    login = {"user": "peer", "password": f"file:{SECRETS}/ansible-peer-password"}
    first = {"url": "https://other.example.com/status.json", "host": "first"}
    assert installed.read(SECOND, f"{ADDITIONAL}/ansible-peers.toml") == {"peer": {FIRST: first | login}}
    second = {"url": f"https://{SECOND}/status.json", "max_age": "30m"}
    assert installed.read(FIRST, f"{ADDITIONAL}/ansible-peers.toml") == {"peer": {SECOND: second | login}}
    collected = installed.hosts[FIRST].run("servermonitoring --collect-only -q -k peer")
    assert f"test_peer_fresh[{SECOND}]" in collected


def test_only_root_and_the_suite_can_read_what_was_written(installed):
    host = installed.hosts[SECOND]
    listed = host.run(f"stat -c '%n %U:%G %a' {CONFIGURATION} {ADDITIONAL}/* {SECRETS}/*").splitlines()
    names = [
        CONFIGURATION, f"{ADDITIONAL}/ansible-peers.toml", f"{ADDITIONAL}/shop.toml",
        f"{SECRETS}/ansible-peer-password", f"{SECRETS}/sentry-dsn", f"{SECRETS}/shop-password",
    ]  # fmt: skip
    assert listed == [f"{name} root:servermonitoring 640" for name in names]
    assert host.path(f"{SECRETS}/shop-password").read_text() == f"{TRICKY}\n"
    assert host.path(f"{SECRETS}/ansible-peer-password").read_text() == f"{PASSWORD}\n"


def test_a_run_writes_its_metrics_where_node_exporter_reads_them(installed):
    installed.hosts[FIRST].run("servermonitoring -k disk_space", status=None)
    assert "servermonitoring.prom" in installed.hosts[FIRST].run(f"ls {METRICS}")


def test_no_secret_is_in_the_output(installed):
    assert "Write the secrets" in installed.said
    assert [each for each in (*VAULT.values(), INLINE, "key-of-sentry", "quoted") if each in installed.said] == []


def test_a_second_run_changes_nothing(installed):
    assert changes(installed.play()) == {FIRST: 0, SECOND: 0}


def test_wrong_variables_are_refused_and_change_nothing(installed):
    """One run for all of them: each is a block whose failure is caught, and shown."""
    host = installed.hosts[FIRST]
    places = f"{CONFIGURATION} {ADDITIONAL} {SECRETS}"
    before = host.run(f"find {places} -type f | sort | xargs sha256sum")
    playbook = installed.directory / "refused.json"
    playbook.write_text(json.dumps([{"hosts": FIRST, "gather_facts": False, "tasks": list(map(_caught, REFUSED))}]))
    said = installed.play(playbook=playbook)
    shown = dict(re.findall(r'"msg": "REFUSED (\w+): (.*)"', said))
    assert list(shown) == list(REFUSED)
    for name, (_, expected) in REFUSED.items():
        assert expected in shown[name].replace('\\"', '"'), name
    assert PASSWORD not in said
    assert INLINE not in said
    assert host.run(f"find {places} -type f | sort | xargs sha256sum") == before
    assert "candidate" not in host.run("ls /etc")


def _caught(name: str) -> dict[str, Any]:
    """A block for one of them. Where the role itself accepts them, the package is not installed once more."""
    role = {"name": "servermonitoring"}
    if name in REFUSED_WITH_CONFIGURATION:
        role["tasks_from"] = "configuration.yml"
    shown = {"debug": {"msg": f"REFUSED {name}: {{{{ ansible_failed_result.msg }}}}"}}
    tasks = [{"include_role": role, "vars": REFUSED[name][0]}, {"fail": {"msg": "was accepted"}}]
    return {"block": tasks, "rescue": [shown]}


def test_removal_keeps_configuration_and_state_and_a_purge_leaves_nothing(installed):
    options = json.dumps({"servermonitoring_state": "absent"})
    purged = json.dumps({"servermonitoring_purge": f"{{{{ inventory_hostname == '{FIRST}' }}}}"})
    installed.play("--extra-vars", options, "--extra-vars", purged)
    for host in installed.hosts.values():
        host.run("ls -d /usr/lib/servermonitoring /var/cache/servermonitoring.deb", status=2)
    places = f"{CONFIGURATION} {ADDITIONAL} {SECRETS} {STATE}"
    installed.hosts[SECOND].run(f"ls {places} {ADDITIONAL}/shop.toml {SECRETS}/shop-password")
    assert installed.hosts[FIRST].run(f"ls -d {places} 2> /dev/null", status=2) == ""


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


def test_toml_has_the_values_of_the_variables():
    """By the Python that Ansible runs on."""
    (interpreter,) = re.findall(r"^#!\s*(\S+)", Path(program("ansible-playbook")).read_text())
    cases: list[dict[str, Any]] = [{"a": {}, "b": {"c": {"": {"\x7f\"'\n\\": "\x00\x1f\x7f\u2028\U0001f600"}}}}]

    @settings(max_examples=200, database=None, derandomize=True)
    @given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4))
    def collect(tables: dict[str, Any]) -> None:
        cases.append(tables)

    collect()
    done = subprocess.run(
        [interpreter, "-c", TO_TOML, ROLE / "roles/servermonitoring/filter_plugins"],
        input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert [tomllib.loads(each) for each in json.loads(done.stdout)] == cases
