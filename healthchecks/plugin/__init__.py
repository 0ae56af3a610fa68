"""The pytest plugin: how checks are run and told."""
