"""The configuration file is found where it is said to be, and what is wrong with it is said in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servermonitoring.configuration import ConfigurationError, Problem, find, nearest, place, read, table
from servermonitoring.scrubbing import scrub
from tests.reliability import reliability


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "servermonitoring.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@reliability(
    "Configuration", fault="the configuration is not UTF-8, or cut off", promise="the error says so, and in which line"
)
@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("[website", "is not TOML: .*at end of document"),
        ("a = 1\na = 2\n", "is not TOML: .*line 2"),
        ("day = 2024-13-45\n", "is not TOML"),
        (f"n = {'9' * 5000}\n", "is not TOML"),
        ("a = " + "[" * 5000, "is nested too deeply"),
        (b"name = '\xff'", r"is not UTF-8 \(line 1\)"),
        ("url = 'x'\n".encode("utf-16"), "is not UTF-8"),
    ],
    ids=["open", "twice", "date", "digits", "nested", "bytes", "utf-16"],
)
def test_what_is_not_toml_is_one_clear_error(write, content, what):
    path = write(content)
    with pytest.raises(ConfigurationError, match=what) as raised:
        read(path)
    assert str(raised.value).startswith(f"configuration {path} is wrong:\n  ")


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read(tmp_path / "missing.toml")
    with pytest.raises(ConfigurationError, match="cannot be read: is a directory, not a file"):
        read(tmp_path)


def test_a_missing_variable_is_named_with_its_place_and_the_nearest_name(write, monkeypatch):
    """All of them at once, and the text stays as it was."""
    monkeypatch.setenv("TEST_PASSWORD", "x")
    path = write('[database.main]\nurl = "${TEST_PASWORD}"\nlist = ["a", "${}"]\n')
    tables, problems = read(path)
    assert [str(problem) for problem in problems] == [
        "[database.main] url: the environment has no variable TEST_PASWORD; did you mean ${TEST_PASSWORD}?",
        "[database.main] list[1]: the environment has no variable (no name)",
    ]
    assert tables["database"]["main"]["url"] == "${TEST_PASWORD}"


def test_variables_are_put_in_everywhere_but_once(write, monkeypatch):
    """What a variable holds is not read again for more variables."""
    monkeypatch.setenv("OUTER", "${INNER}")
    monkeypatch.setenv("INNER", "inner")
    path = write('a = "<${OUTER}|${INNER}>"\nb = [{c = "${INNER}"}]\nd = "$${INNER} $$ $HOME ${"\nn = 5\n')
    tables, problems = read(path)
    assert problems == []
    assert tables == {"a": "<${INNER}|inner>", "b": [{"c": "inner"}], "d": "${INNER} $$ $HOME ${", "n": 5}


def test_a_byte_order_mark_is_no_harm(write):
    assert read(write(b"\xef\xbb\xbfa = 1\n")) == ({"a": 1}, [])


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('password = "hunter2hunter2"', "hunter2hunter2"),
        ('headers = {Authorization = "Bearer abcdefgh"}', "abcdefgh"),
        ('headers = {X-Api-Key = "abcdefgh"}', "abcdefgh"),
        ('fields = {user = "me", password = "hunter2hunter2"}', "hunter2hunter2"),
        ('tokens = ["first-one", "second-one"]', "second-one"),
        ('url = "postgresql://me:hunter2hunter2@db/"', "hunter2hunter2"),
        ('dsn = "https://0123456789abcdef0123456789abcdef@errors.example/1"', "0123456789abcdef0123456789abcdef"),
        ('url = "https://x/?k=${TEST_TOKEN}"', "from-the-environment"),
    ],
)
def test_what_is_secret_in_it_is_scrubbed_from_then_on(write, monkeypatch, line, secret):
    monkeypatch.setenv("TEST_TOKEN", "from-the-environment")
    assert secret in scrub(f"<{secret}>")
    read(write(f"[some.table]\n{line}\n"))
    assert secret not in scrub(f"<{secret}>")


def test_the_name_of_a_secret_file_is_no_secret(write):
    """It is what an error has to name."""
    read(write('password = "file:/etc/app/password"\nurl = "https://app.example.com"\n'))
    message = "cannot read file:/etc/app/password for https://app.example.com"
    assert scrub(message) == message


def test_the_search_order(monkeypatch, tmp_path):
    """The option, the variable, this folder; a name that was given is taken as given, there or not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SERVERMONITORING_CONFIG", raising=False)
    assert find() in {None, *tmp_path.parents} or str(find()).startswith("/etc/")
    (tmp_path / "servermonitoring.toml").touch()
    assert find().resolve() == tmp_path / "servermonitoring.toml"
    monkeypatch.setenv("SERVERMONITORING_CONFIG", "/from/variable.toml")
    assert str(find()) == "/from/variable.toml"
    assert str(find("/from/option.toml")) == "/from/option.toml"
    assert str(find("~nosuchuser/x.toml")) == "~nosuchuser/x.toml"


def test_names_in_messages():
    assert place(["website", "home", "url"]) == "[website.home] url"
    assert place(["website", "home", "contains", 2]) == "[website.home] contains[2]"
    assert place(["host"]) == "[host]"
    assert table(["website", "home"]) == "[website.home]"
    assert table([]) == ""
    assert nearest("ulr", ["url", "status"]) == '; did you mean "url"?'
    assert nearest("zzz", ["url", "status"]) == "; known: status, url"
    assert nearest("zzz", []) == ""


def test_an_error_shows_every_problem(tmp_path):
    error = ConfigurationError(tmp_path / "x.toml", [Problem("[a] b", "is wrong"), Problem("", "so is this")])
    assert str(error) == f"configuration {tmp_path}/x.toml is wrong:\n  [a] b: is wrong\n  so is this"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_or_refused_in_words(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        tables, _ = read(path)
    except ConfigurationError:
        return
    assert isinstance(tables, dict)
