"""What others received from a run: alerts that the website got as a webhook, and rows of the history."""

import json
import sqlite3
from contextlib import closing


def alert(suite, website):
    """Have alerts of the suite sent to the website."""
    suite.configure(f"[alerts]\nwebhook = '{website.url('/hook')}'\n")
    website.forget()
    website.answer("/hook")
    return suite


def alerts(website):
    """As the webhook got them, without those that were cut off: the process that sent them has ended."""
    requests = [each for each in website.requests if each.path == "/hook"]
    whole = [each.body for each in requests if len(each.body.encode()) == int(each.headers["content-length"])]
    return [json.loads(body) for body in whole]


def in_history(suite):
    """The names of the checks, once for each result."""
    query = "SELECT name FROM checks JOIN results ON check_id = id ORDER BY time, id"
    with closing(sqlite3.connect(suite.state / "history.sqlite")) as database:
        return [name for (name,) in database.execute(query)]
