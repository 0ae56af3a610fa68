"""Python's clocks as they are when the program starts: a check may replace those of `time`, as with monkeypatch.

What replaces names in all modules, such as freezegun, does not know these.
"""

import time as _time
from collections.abc import Callable
from functools import partial

monotonic: Callable[[], float] = partial(_time.monotonic)
sleep: Callable[[float], None] = partial(_time.sleep)
time: Callable[[], float] = partial(_time.time)
