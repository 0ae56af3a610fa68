"""A suite of one check of several shops, whose words are in files: what a run has to say can be said to it."""

from dataclasses import replace

from healthchecks.plugin.alerting.store import StateFile
from tests.suite import Suite

SHOPS = """
    import logging
    from pathlib import Path
    from healthchecks import Target, capture_message, probe

    class Shop(Target):
        pass

    @probe
    def words(shop: Shop) -> str:
        text = Path(f"{shop.name}.txt").read_text()
        if text.startswith("log: "):
            logging.getLogger("shop").error("cache of %s is %s", shop.name, text[5:])
        if text.startswith("message: "):
            capture_message(text[9:], level="warning", queue="orders")
        return text

    def test_shop_words(shop, words):
        assert words == "ok" or ": " in words, words
"""


class Shops(Suite):
    """A suite with one check of several shops; each says what its file says."""

    def __init__(self, folder, *names, more=""):
        super().__init__(folder)
        self.write("test_mine.py", SHOPS)
        self.configure("".join(f"[shop.{name}]\n{more}\n" for name in names))
        self.say(**dict.fromkeys(names, "ok"))

    def say(self, **words):
        for name, text in words.items():
            (self.folder / f"{name}.txt").write_text(text)

    def alert(self, dsn):
        self.environment["HEALTHCHECKS_SENTRY_DSN"] = dsn
        return self

    def spooled(self):
        """What waits to be sent."""
        return [path for path in self.state.rglob("*") if "spool" in str(path) and path.name.count("-") == 2]


def age_alerts(state_directory, age):
    """Move all that was alerted this far into the past."""

    def change(state):
        seconds = age.total_seconds()
        for key, incident in state.incidents.items():
            alerted_at = incident.alerted_at and incident.alerted_at - seconds
            state.incidents[key] = replace(incident, alerted_at=alerted_at, since=incident.since - seconds)

    StateFile(state_directory).change(change)
