"""The test alert of --monitoring-test-alert: one to each channel, past the spools, and what each answered."""

import socket
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from healthchecks.plugin.alerting.alert import TEST, Alert, linked
from healthchecks.plugin.alerting.channels import NO_CHANNEL, AlertInputs, connect
from healthchecks.plugin.alerting.policy import Action
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from healthchecks.plugin.alerting.channels import Channel
    from healthchecks.plugin.configuration.settings import SuiteSettings

_BUDGET = 20.0  # seconds for each channel


def try_channels(settings: "SuiteSettings", say: Callable[[str], object]) -> bool:
    """Send the test alert to each channel, and say what each answered; return whether all accepted it.

    Nothing else is contacted, and nothing that waits in a spool is sent. Raise ValueError where there is no channel.
    """
    errors: list[str] = []
    with tempfile.TemporaryDirectory(prefix="healthchecks-test-alert-") as directory:
        inputs = AlertInputs(settings, socket.gethostname(), Path(directory), datetime.now(UTC))
        channels = connect(inputs, errors.append).channels
        if not channels and not errors:
            raise ValueError(f"no channel is configured: {NO_CHANNEL}")
        for error in errors:
            say(scrub(error))
        alert = linked(_alert(inputs), settings.dashboard.url)
        accepted = [_try(channel, alert, say) for channel in channels]
    return all(accepted) and not errors


def _try(channel: "Channel", alert: Alert, say: Callable[[str], object]) -> bool:
    """Send it to a channel whatever its `only`, which is shown."""
    is_accepted, words = channel.try_out(alert, _BUDGET)
    only = f" ({channel.only})" * bool(channel.only.words)
    say(scrub(f"{channel.name}{only}: {'accepted' if is_accepted else 'not accepted'}: {words}"))
    return is_accepted


def _alert(inputs: AlertInputs) -> Alert:
    """Return an alert that the rules of receivers treat as any other."""
    message = f"test alert of {inputs.host}, sent by hand: nothing is wrong"
    now = inputs.started
    return Alert(uuid.uuid4().hex, TEST, Action.ALERT, "suite[test]", message, "error", now, now, 1, 0, inputs.host)
