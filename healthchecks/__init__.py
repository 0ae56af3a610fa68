"""Checks of a website's servers, each a pytest test."""
