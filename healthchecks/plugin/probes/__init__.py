"""Probes: what authors write, and the processes and threads that run them."""
