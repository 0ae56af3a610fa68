"""A former key is an error that names the new one."""

import pytest

from healthchecks.plugin.renamed import RENAMED, hint

ROWS = [(kind, old, new) for kind, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("kind", "old", "new"), ROWS, ids=[f"{kind} {old}" for kind, old, _ in ROWS])
def test_each_row_applies_where_the_new_key_exists(kind, old, new):
    assert hint(kind, old, {new}) == f'; it is called "{new}" now'
    assert hint(kind, old, {"other"}) == ""
    assert hint(kind, "other", {new}) == ""
