"""Kills browsers that hang or eat the memory."""
