"""The order of checks: those that others need come before these."""

from collections.abc import Iterable

import pytest

from healthchecks.plugin.collection import target_of


def in_order_of_need(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Checks that others need come before those; all else stays as it was."""
    by_reference: dict[str, list[pytest.Item]] = {}
    ordered: dict[pytest.Item, None] = {}
    items = list(items)
    for item in items:
        if target := target_of(item):
            by_reference.setdefault(target.reference, []).append(item)

    def missing(item: pytest.Item) -> "pytest.Item | None":
        target = target_of(item)
        needed = (each for need in (target.needs if target else ()) for each in by_reference.get(need, ()))
        return next((each for each in needed if each not in ordered and each not in above), None)

    for item in items:
        above = {item: None}  # the item, what it needs, what that needs …
        while above:
            last = next(reversed(above))
            if (needed := missing(last)) is not None:
                above[needed] = None
            else:
                ordered.setdefault(last)
                above.popitem()
    return list(ordered)
