"""What a run has told besides its page: alerts that the website got as their webhook, and rows of the history."""

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
    """As the webhook got them."""
    return [json.loads(each.body) for each in website.requests if each.path == "/hook"]


def in_history(suite):
    """The names of the checks, once for each result."""
    query = "SELECT name FROM checks JOIN results ON check_id = id ORDER BY time, id"
    with closing(sqlite3.connect(suite.state / "history.sqlite")) as database:
        return [name for (name,) in database.execute(query)]
