"""A secret is given to who asks for it by name, and to nobody else."""

import copy
import logging
import pickle
import subprocess
import sys
import traceback

import pydantic
import pytest

from servermonitoring.scrubbing import scrub
from servermonitoring.secret import Secret
from tests import ROOT

VALUE = "correct horse"


@pytest.mark.parametrize(
    "show",
    [
        str, repr, format, ascii, lambda secret: f"{secret!r:>30}", "{0} {0!r} {0!s}".format,
        lambda secret: str({"list": [secret]}), lambda secret: str(copy.deepcopy(secret)),
    ],
)  # fmt: skip
def test_it_never_shows(show):
    shown = show(Secret(VALUE))
    assert VALUE not in shown
    assert "**********" in shown


def test_no_log_and_no_traceback_shows_it(caplog):
    secret = Secret(VALUE)
    logging.getLogger().warning("using %s and %r", secret, secret)
    shown = "".join(traceback.format_exception(ValueError(secret)))
    assert VALUE not in caplog.text + shown


def test_it_is_revealed_to_who_asks_and_scrubbed_from_all_else():
    assert Secret(VALUE).reveal() == VALUE
    assert VALUE not in scrub(f"the client said: {VALUE}")


def test_one_that_is_not_remembered_is_not_scrubbed():
    Secret("plain text", remembered=False)
    assert scrub("plain text") == "plain text"


def test_equal_secrets_are_equal_and_empty_ones_are_false():
    assert Secret(VALUE) == Secret(VALUE)
    assert len({Secret(VALUE), Secret(VALUE), Secret("other")}) == 2
    assert Secret(VALUE) != VALUE
    assert Secret(VALUE)
    assert not Secret("")


def test_a_file_gives_its_first_line(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"\xef\xbb\xbf " + VALUE.encode() + b" \r\nsecond line\n")
    assert Secret.load(f"file:{path}").reveal() == VALUE
    assert VALUE not in scrub(VALUE)


def test_a_file_below_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "password").write_text(VALUE)
    assert Secret.load("file:~/password").reveal() == VALUE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file"), ("", "is a directory, not a file"), ("empty", "is empty"), ("blank", "is empty"),
        ("binary", "not UTF-8"), ("~nosuchuser/x", "No such file"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_secret_says_why(tmp_path, name, reason):
    (tmp_path / "empty").touch()
    (tmp_path / "blank").write_text(" \nsecond\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    path = name if name.startswith("~") else tmp_path / name
    with pytest.raises(ValueError, match=f"the secret file .*{reason}"):
        Secret.load(f"file:{path}")


class Settings(pydantic.BaseModel):
    """As the tables of the configuration hold one."""

    password: Secret


def test_a_model_holds_it_and_does_not_show_it(tmp_path):
    (tmp_path / "password").write_text(VALUE)
    for value in (VALUE, Secret(VALUE), f"file:{tmp_path}/password"):
        settings = Settings(password=value)
        assert settings.password.reveal() == VALUE
        assert VALUE not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize("value", [12345678, None, ["correct horse"], "file:/nonexistent"])
def test_a_model_refuses_what_is_none(value):
    with pytest.raises(pydantic.ValidationError, match="secret"):
        Settings(password=value)


def test_a_schema_of_the_file_can_be_made_of_it():
    assert Settings.model_json_schema()["properties"]["password"]["type"] == "string"


@pytest.mark.parametrize("remembered", [True, False])
def test_a_pickled_one_is_scrubbed_where_it_arrives(remembered):
    """A check may make one of a response, in another process than the one that writes the page."""
    value = f"horse battery staple {remembered}"
    code = (
        "import pickle, sys; from servermonitoring.secret import Secret; "
        f"sys.stdout.buffer.write(pickle.dumps(Secret({value!r}, remembered={remembered}), 5))"
    )
    pickled = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    assert scrub(value) == value
    secret = pickle.loads(pickled)
    assert secret.reveal() == value
    assert value not in repr(secret)
    assert (value not in scrub(value)) == remembered
