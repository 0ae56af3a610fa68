"""The tests mirror the packages; `servers` holds the real ones that they start."""

from pathlib import Path

ROOT = Path(__file__).parents[1]  # the checkout
