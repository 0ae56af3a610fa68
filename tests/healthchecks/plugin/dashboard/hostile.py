"""A page in which everything that can come from outside is hostile."""

import json
import time
from pathlib import Path

from healthchecks.plugin.metric import Metric
from healthchecks.plugin.peer import PeerCheck, PeerRecord
from tests.healthchecks.plugin.dashboard.scenes import Scene

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\"'><svg onload=\"window.hacked=3\">"
    "</title></textarea></script></style><!-- ]]> {{ 7 * 7 }} {% raw %} \u202eback to front\u2067"
    " \x00\x1b[31m\x07\ufffe"
)
_CHECKS = """
import logging, pytest
from healthchecks import Target, attach, metric, probe

HOSTILE = {hostile!r}

class Website(Target):
    pass

@probe
def answer(website: Website) -> str:
    attach(HOSTILE, HOSTILE + "attached")
    logging.getLogger(HOSTILE).error(HOSTILE)
    return HOSTILE

@pytest.mark.parametrize("hostile", [1, 2], ids=[HOSTILE.partition(" \\u202e")[0], "]" * 300])
def test_access(website, answer, hostile):
    print(HOSTILE)
    metric(HOSTILE[:100], 1, limit=2)
    assert not answer, answer

@pytest.mark.healthcheck(group=HOSTILE, slow=0.0001)
def test_long():
    assert False, "x" * 5_000_000 + HOSTILE

@pytest.mark.healthcheck
def test_skipped():
    pytest.skip(HOSTILE)

@pytest.mark.healthcheck
def test_broken():
    raise KeyError(HOSTILE)
"""


def hostile_page(folder: Path) -> Path:
    texts = dict.fromkeys(("rule", "reason", "message", "name", "command"), HOSTILE)
    numbers = {"time": time.time() - 60, "pid": 1, "user": 0, "memory": 1, "age": 1.0, "validated": None}
    kill = {**texts, **numbers}
    link = "https://web2.example.com/"
    check = PeerCheck(
        *(HOSTILE,) * 4, "failed", maintenance=True, is_silenced=True, message=HOSTILE, since=0.0, checked_at=None,
        duration=1e308, metric=Metric(HOSTILE, -1e308, "none", 1e308), recent=(("ok", 60),), uptimes=((1, 9, 1),),
    )  # fmt: skip
    peers = {f"peer.{HOSTILE}": PeerRecord(link, 1e9, HOSTILE, 2.0**32, checks=(check,), counts=(("failed", 1),))}
    scene = Scene(days=0, kills=(kill,), peers=peers)
    scene.lay_out(folder)
    with (folder / "state" / "kills.jsonl").open("a") as file:
        file.write('rubbish\n[]\n{"time": "NaN"}\n' + json.dumps({**kill, "time": 1e400}) + "\n" + "[" * 100_000)
    (folder / "html").mkdir()
    description = f'<meta name="description" content="{HOSTILE.replace(chr(34), "&quot;")}">'
    (folder / "html" / "database.html").write_text(description)
    (folder / "test_scene.py").write_text(_CHECKS.format(hostile=HOSTILE))
    (folder / "servermonitoring.toml").write_text(
        f"[website.home]\ngroup = {json.dumps(HOSTILE)}\nrunbook = {json.dumps(HOSTILE[:140])}\n"
        f'[state]\ndirectory = "{folder}/state"\n[dashboard]\ndirectory = "{folder}/html"\n'
    )
    for _ in range(2):
        assert scene.run(folder) == 1, (folder / "output").read_text()
    return folder / "html" / "index.html"
