"""[tcp.NAME], against ports that listen, and ports that do not."""

from tests.suite import table

CHECK = "tcp_access[port]"


def test_nobody_listens(run_suite, website):
    """A refused connection fails at once, and says where."""
    website.stop()
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port))
    assert outcome.status == 1
    assert outcome.message(CHECK) == f"Connection refused at 127.0.0.1:{website.port}"


def test_something_listens(run_suite, website):
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port))
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "ok"
