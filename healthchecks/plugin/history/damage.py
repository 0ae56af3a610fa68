"""The error of a damaged history."""

import sqlite3


class DamagedError(sqlite3.DatabaseError):
    """A history with values that no run stored."""
