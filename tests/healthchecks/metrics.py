"""The metrics of a check in status.json."""


def metrics_of(outcome, check):
    """Return value, unit and limits by name; the first one is the main metric."""
    return {
        each["name"]: {key: each[key] for key in each if key != "name"} for each in outcome.checks[check]["metrics"]
    }


def assert_agrees(outcome, check, name):
    """Status and limit of this metric agree: a check that fails is beyond it, and one that passes is not."""
    found = metrics_of(outcome, check)[name]
    limit, lower = found["limit"], found["lower_limit"]
    assert limit is not None or lower is not None
    is_beyond = (limit is not None and found["value"] > limit) or (lower is not None and found["value"] < lower)
    assert is_beyond == (outcome.checks[check]["status"] == "failed"), found
