"""Clients of the checks: bounded whatever the peer does, with one message for each fault."""
