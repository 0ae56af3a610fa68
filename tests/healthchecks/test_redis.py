"""[redis.NAME], against real servers with a replica, and peers that reply with anything."""

import contextlib
from urllib.parse import quote

import pytest

from healthchecks.test_redis import Redis as Target
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers import certificates
from tests.servers.peers import at_once, floods, in_turn, peer, reset, says, stay
from tests.servers.redis import PASSWORD, Redis
from tests.servers.server import HOST, free_port, until
from tests.suite import table

INFO = b"".join(
    line + b"\r\n"
    for line in (
        b"# Server", b"role:master", b"used_memory:900", b"maxmemory:1000", b"maxmemory_policy:noeviction",
        b"connected_clients:9", b"maxclients:10", b"instantaneous_ops_per_sec:5",
    )
)  # fmt: skip


@pytest.fixture
def results(run_suite):
    """Run the check of each case in one run: name -> keys, gives the message, or "ok"."""

    def run(cases):
        defaults = {"host": HOST, "password": PASSWORD}
        tables = [
            table(
                "redis",
                name,
                **keys if "url" in keys else {k: v for k, v in (defaults | keys).items() if v is not None},
            )
            for name, keys in cases.items()
        ]
        outcome = run_suite("\n".join(tables))
        assert outcome.status in (0, 1), outcome.output
        return outcome, {name: _result(outcome.checks[f"redis_access[{name}]"], keys) for name, keys in cases.items()}

    return run


def complete(keys):
    """Return the keys with host and password, where they do not have a URL, or None in their place."""
    defaults = {} if "url" in keys else {"host": HOST, "password": PASSWORD}
    return {key: value for key, value in (defaults | keys).items() if value is not None}


def _result(check, keys):
    assert check["status"] in ("ok", "failed"), check
    return check["message"].replace(f"{HOST}:{keys.get('port')}", "PEER") if check["status"] == "failed" else "ok"


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@reliability(
    "Secrets",
    fault="Redis refuses the password of a check, or its URL cannot be read",
    promise="the password is in no output, in no form",
)
def test_logins(results, known):
    wrong = "wr:ng p@ss/20%"
    with Redis(certificate=known.good) as server:
        with contextlib.closing(server.client()) as client:
            client.acl_setuser("watcher", enabled=True, passwords=["+seen"], commands=["+info", "+ping"])
            client.acl_setuser("blind", enabled=True, passwords=["+seen"], commands=["+ping"])
        here, secured = {"port": server.port}, {"port": server.tls_port, "tls": True}
        closed = free_port()
        cases = {
            "ok": (here, "ok"),
            "url": ({"url": server.url}, "ok"),
            "least_rights": (here | {"user": "watcher", "password": "seen"}, "ok"),
            "db": (here | {"db": 3}, "ok"),
            "tls": (secured | {"ca": known.authority}, "ok"),
            "url_tls": (
                {"url": f"rediss://:{quote(PASSWORD, safe='')}@{HOST}:{server.tls_port}", "ca": known.authority}, "ok",
            ),
            "no_password": (here | {"password": None}, "a password is required at PEER"),
            "wrong": (here | {"password": wrong}, 'login refused for user "default" at PEER'),
            "wrong_user": (here | {"user": "nobody"}, 'login refused for user "nobody" at PEER'),
            "blind": (
                here | {"user": "blind", "password": "seen"},
                'user "blind" lacks a permission: it needs +info and +ping, for another db than 0 +select at PEER',
            ),
            "no_db": (here | {"db": 99}, "there is no database 99 at PEER"),
            "unknown_authority": (secured, "certificate authority is not trusted: *"),
            "no_tls": ({"port": server.tls_port}, "connection closed without a response at PEER"),
            "nobody": ({"port": closed}, "connection refused at PEER"),
        }  # fmt: skip
        outcome, found = results({name: keys for name, (keys, _) in cases.items()})
    assert found.pop("unknown_authority").startswith(cases.pop("unknown_authority")[1][:-1])
    assert found == {name: message for name, (_, message) in cases.items()}
    for form in (wrong, quote(wrong), quote(wrong, safe=""), PASSWORD, quote(PASSWORD, safe="")):
        assert form not in outcome.all_written()


def test_metrics(results):
    """The memory that is used of maxmemory comes first; without a limit there it is of the machine's."""
    with Redis(maxmemory="100mb") as server, Redis() as free:
        outcome, _ = results({"main": {"port": server.port}, "free": {"port": free.port}})
        metrics = metrics_of(outcome, "redis_access[main]")
        assert [*metrics] == ["memory used", "memory", "clients used", "commands per second", "replicas"]
        assert metrics["memory used"]["limit"] == 0.9
        assert metrics["memory used"]["value"] == pytest.approx(metrics["memory"]["value"] / 1e8, rel=0.1)
        assert metrics["clients used"] == {"value": 1e-4, "unit": "ratio", "limit": 0.9, "lower_limit": None}
        assert metrics_of(outcome, "redis_access[free]")["memory used"]["limit"] is None
        assert_agrees(outcome, "redis_access[main]", "memory used")


def test_limits(results):
    """A queue that is full refuses to be written to; a cache that is full does its work."""
    with Redis() as full, Redis() as cache, Redis(maxclients=10) as busy, Redis(save="3600 1") as broken:
        for server, policy in ((full, "noeviction"), (cache, "allkeys-lru")):
            with contextlib.closing(server.client()) as client:  # what a connection takes makes no difference then
                for number in range(20):
                    client.set(f"key{number}", "x" * 1_000_000)
            with contextlib.closing(server.client()) as client:
                client.config_set("maxmemory-policy", policy)
                client.config_set("maxmemory", int(server.info["used_memory"] * 1.05))
        with contextlib.closing(broken.client()) as client:
            (broken.directory / "dump.rdb").mkdir()  # which nothing can be renamed to
            client.set("key", "value")
            client.bgsave()
            until(lambda: client.info()["rdb_last_bgsave_status"] == "err", what="failure of the save")
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(contextlib.closing(busy.client())) for _ in range(8)]
            assert all(each.ping() for each in held)
            outcome, found = results(
                {
                    "full": {"port": full.port},
                    "full_allowed": {"port": full.port, "max_memory_used": "100%"},
                    "cache": {"port": cache.port},
                    "cache_limit": {"port": cache.port, "max_memory_used": "50%"},
                    "busy": {"port": busy.port, "max_clients_used": "50%"},
                    "broken": {"port": broken.port},
                }
            )
            held += [stack.enter_context(contextlib.closing(busy.client())) for _ in range(2)]
            assert all(each.ping() for each in held)
            _, crowded = results({"busy": {"port": busy.port}})
    memory, limit = found.pop("full"), found.pop("cache_limit")
    assert memory.endswith("%), maximum 90 %")
    assert " MB of memory used (9" in memory
    assert limit.endswith("%), maximum 50 %")
    clients = found.pop("busy")
    assert clients.startswith(("9 of 10 clients connected (90.0 %)", "10 of 10 clients connected (100.0 %)"))
    assert clients.endswith("maximum 50 %")
    assert found == {
        "full_allowed": "ok",
        "cache": "ok",
        "broken": "the server refuses to be written to, since it cannot save its data (MISCONF); "
        "the last save of the data failed (RDB)",
    }
    assert crowded == {"busy": "too many clients at PEER"}
    assert_agrees(outcome, "redis_access[full]", "memory used")
    assert_agrees(outcome, "redis_access[busy]", "clients used")


def test_replication(results):
    """Master and replica, and the replica whose master is gone."""
    with Redis() as master, Redis(master=master) as replica, Redis() as lonely:
        until(lambda: replica.info["master_link_status"] == "up", what="link to the master")
        until(lambda: master.info["connected_slaves"] == 1, what="replica")
        outcome, found = results(
            {
                "master": {"port": master.port, "role": "master", "min_replicas": 1, "max_replication_lag": "5m"},
                "replica": {"port": replica.port, "role": "replica", "max_replication_lag": "5m"},
                "other_role": {"port": replica.port, "role": "master"},
                "too_few": {"port": master.port, "min_replicas": 2},
                "lonely": {"port": lonely.port, "max_replication_lag": "5m", "min_replicas": 1},
            }
        )
        assert found == {
            "master": "ok",
            "replica": "ok",
            "other_role": "role is replica, expected master",
            "too_few": "1 replica online, minimum 2",
            "lonely": "0 replicas online, minimum 1; no replica is online, and max_replication_lag is given",
        }
        assert metrics_of(outcome, "redis_access[master]")["replication lag"]["limit"] == 300
        assert metrics_of(outcome, "redis_access[master]")["replicas"]["lower_limit"] == 1
        assert_agrees(outcome, "redis_access[too_few]", "replicas")
        master.stop()
        until(lambda: replica.info["master_link_status"] == "down", what="end of the link")
        _, found = results({"replica": {"port": replica.port, "max_replication_lag": "5m"}})
        begin = f"the link of the replica to its master {HOST}:{master.port} is down"
        assert found["replica"].startswith(begin)
        assert "behind" not in found["replica"]


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


def info(text):
    return in_turn(b"", bulk(text), b"+PONG\r\n", end=stay)


def refuses(error):
    return in_turn(b"", bulk(INFO), error, end=stay)


def changed(before, after):
    assert before in INFO
    return info(INFO.replace(before, after))


BAD = {
    "loading": (refuses(b"-LOADING Redis is loading the dataset\r\n"), "the server is still loading its data"),
    "still_loading": (info(b"loading:1\r\n" + INFO), "the server is still loading its data"),
    "no_master": (
        refuses(b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"),
        "the replica has lost its master and serves no data (replica-serve-stale-data no)",
    ),
    "refuses_to_answer": (refuses(b"-ERR not now\r\n"), "not now"),
    "protected": (
        says(b"-DENIED Redis is running in protected mode because protected mode is enabled.\r\n"),
        "the server accepts local clients only (protected mode: it has no password) at PEER",
    ),
    "other_error": (says(b"-ERR something else\r\n"), "something else at PEER"),
    "aof": (
        info(INFO + b"aof_last_write_status:err\r\naof_last_bgrewrite_status:err\r\n"),
        "the last write to the log of changes failed (AOF); the last rewrite of the log of changes failed (AOF)",
    ),
    "good": (info(INFO), "ok"),
    "behind": (
        info(INFO + b"connected_slaves:2\r\nslave0:ip=::1,port=1,state=online,offset=1,lag=400\r\n"
             b"slave1:ip=::1,port=2,state=wait_bgsave,offset=1,lag=0\r\n"),
        "replication is 6 min 40 s behind, maximum 5 min",
    ),
    "copying": (
        changed(b"role:master", b"role:slave\r\nmaster_host:db\r\nmaster_port:1\r\nmaster_link_status:down\r\n"
                b"master_sync_in_progress:1"),
        "the replica is still copying the data of its master db:1",
    ),
    "closes": (at_once(), "connection closed without a response at PEER"),
    "resets": (says(end=reset), "connection closed without a response at PEER"),
    "half": (says(b"$100\r\nhalf"), "connection closed without a response at PEER"),
    "after_info": (says(bulk(INFO)), "connection closed without a response at PEER"),
    "http": (
        says(b"HTTP/1.1 400 Bad Request\r\n\r\n", end=stay), "not a Redis server at PEER: 'HTTP/1.1 400 Bad Request'",
    ),
    "ssh": (at_once(b"SSH-2.0-OpenSSH_9.2\r\n", end=stay), "not a Redis server at PEER: 'SSH-2.0-OpenSSH_9.2'"),
    "garbage": (at_once(b"\x00\x01 \xff\r\n", end=stay), "not a Redis server at PEER: '\\x00\\x01 \ufffd'"),
    "length": (says(b"$many\r\n", end=stay), "not a Redis server at PEER: '$many'"),
    "nested": (says(b"*1\r\n" * 20_000, end=stay), "not a Redis server at PEER: '*1'"),
    "other_pong": (refuses(b"+PING\r\n"), "not a Redis server at PEER: PING is answered with b'PING'"),
    "number": (says(b":1\r\n", end=stay), "not the statistics of a Redis server at PEER"),
    "no_statistics": (info(b"role:master\r\n"), "not the statistics of a Redis server at PEER"),
    "endless": (changed(b"used_memory:900", b"used_memory:1e999"), "not the statistics of a Redis server at PEER"),
    "no_number": (changed(b"used_memory:900", b"used_memory:nan"), "not the statistics of a Redis server at PEER"),
    "text": (changed(b"used_memory:900", b"used_memory:many"), "not the statistics of a Redis server at PEER"),
    "large": (
        says(b"$2000000000\r\n", end=floods(b"x" * 65536)), "more than 300 kB of responses at PEER",
    ),
    "flood": (floods(b"+" + b"x" * 65536), "more than 300 kB of responses at PEER"),
    "many": (says(b"*1000000000\r\n", end=floods(b":1\r\n" * 1000)), "more than 300 kB of responses at PEER"),
    "silent": (stay, "connected to PEER, no response within 8 s"),
    "silent_later": (in_turn(b"", bulk(INFO), end=stay), "connected to PEER, no response within 8 s"),
    "half_and_silent": (says(b"$100\r\nhalf", end=stay), "connected to PEER, no response within 8 s"),
}  # fmt: skip


@reliability(
    "Messages",
    fault="a Redis server replies with an error, with what is no statistics, with gigabytes, half a response or never",
    promise="fails with the reason, after at most 300 kB, within the timeout",
)
def test_peers(results):
    with contextlib.ExitStack() as stack:
        keys = {"password": None, "timeout": 30, "max_memory_used": "95%"}
        cases = {name: keys | {"port": stack.enter_context(peer(act))} for name, (act, _) in BAD.items()}
        for name in ("silent", "silent_later", "half_and_silent"):
            cases[name]["timeout"] = 8
        cases["behind"] |= {"max_replication_lag": "5m"}
        _, found = results(cases)
    assert found == {name: message for name, (_, message) in BAD.items()}


def test_silent_login_and_drips(results, bad):
    drips = {"port": bad.port("drip_raw"), "timeout": 4}
    _, found = results({"drips": drips, "drips_tls": drips | {"tls": True}})
    assert found["drips_tls"] in (
        "connected to PEER, TLS handshake incomplete within 4 s", "no TLS at PEER",
    )  # fmt: skip
    assert found["drips"].startswith(("connected to PEER, no response within 4 s", "not a Redis server at PEER"))


WRONG_URLS = (
    "http://:@host/0",
    "redis://:@host/zero",
    "redis://:@host:port/0",
    "redis://:@/0",
    "redis://:@host/0?db=1",
)


def test_wrong_urls(run_suite):
    """All errors name the form; none shows the password."""
    urls = [url.replace(":@", ":Gheim7nis@") for url in WRONG_URLS]
    outcome = run_suite("\n".join(table("redis", f"n{number}", url=url) for number, url in enumerate(urls)))
    assert outcome.status == 4
    assert outcome.output.count("is not a URL of Redis: write redis://HOST:PORT/DB, for TLS rediss://") == len(urls)
    assert "Gheim7nis" not in outcome.all_written()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"url": "redis://host", "port": 1}, "write either url or port"),
        ({"user": "me"}, "user needs password"),
        ({"role": "slave"}, "role"),
        ({"db": -1}, "db"),
        ({"host": "redis://host"}, "is a URL"),
    ],
)
def test_wrong_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        Target(**keys)


def test_url():
    access = Target(url="rediss://me:p%40ss%2F@db.example.com:6380/2").access()
    assert (access.host, access.port, access.user, access.password) == ("db.example.com", 6380, "me", "p@ss/")
    assert (access.db, access.tls) == (2, True)
    assert "p@ss" not in repr(access)
