"""A web client for monitoring: bounded in time and size, with one message for each fault."""
