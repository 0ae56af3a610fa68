"""A PostgreSQL client for monitoring: bounded in time and size, with errors in plain words."""
