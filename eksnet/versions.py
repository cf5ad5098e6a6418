"""Temporary."""

KUBERNETES = "1.34.3"
