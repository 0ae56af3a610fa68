"""To whom the watchdog's alerts go: $WATCHDOG_SENTRY_DSN, else $SENTRY_DSN, else [sentry] in the configuration."""

from typing import Any, NamedTuple

from servermonitoring.dsn import Dsn, in_force
from servermonitoring.secret import Secret

VARIABLE = "WATCHDOG_SENTRY_DSN"


class Addressee(NamedTuple):
    """What is wrong with it stops no watchdog: it is told, and the watchdog goes on without alerts."""

    dsn: str = ""
    environment: str = "production"
    problem: str = ""

    def __repr__(self) -> str:
        return f"Addressee(environment={self.environment!r}, problem={self.problem!r})"


def addressee(table: dict[str, Any], unresolved: str = "") -> Addressee:
    """Of the table [sentry]; `unresolved` says what is wrong with a variable that it names."""

    def configured() -> str:
        text = table.get("dsn", "")
        if unresolved or not isinstance(text, str):
            raise ValueError(unresolved or "[sentry] dsn is not a text")
        return Secret.load(text).reveal() if text else ""

    environment = table.get("environment", Addressee().environment)
    if not isinstance(environment, str):
        return Addressee(problem="[sentry] environment is not a text")
    try:
        dsn = in_force(VARIABLE, configured)
        if dsn:
            Dsn.parse(dsn)
    except ValueError as error:
        return Addressee(problem=str(error))
    return Addressee(dsn, environment)
