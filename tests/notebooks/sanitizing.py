"""What nbval leaves out when it compares a notebook: its rules, and the cells that each touches."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).with_name("sanitize")


def rules(notebook: str) -> ConfigParser:
    """Return a notebook's rules, in the order in which nbval applies them; none for some."""
    found = ConfigParser(interpolation=None)
    found.read(DIRECTORY / f"{notebook}.cfg")
    return found


def sanitized(notebook: str, text: str) -> tuple[str, set[str]]:
    """Return a text as nbval compares it, and the rules that changed it."""
    found, touched = rules(notebook), set()
    for rule in found.sections():
        before = text
        text = re.sub(found[rule]["regex"], found[rule]["replace"], text)
        if text != before:
            touched.add(rule)
    return text, touched


def texts(output: Any) -> list[str]:
    """Return the texts of a cell's output that nbval compares."""
    data = output.get("data", {})
    return [text for text in (output.get("text"), *data.values()) if isinstance(text, str)]


def touched(notebook: str, cells: Any) -> dict[str, list[str]]:
    """Return the cells that each rule changes, in the notebook's order."""
    found: dict[str, list[str]] = {rule: [] for rule in rules(notebook).sections()}
    for cell in cells:
        changed = {
            rule
            for output in cell.get("outputs", ())
            for text in texts(output)
            for rule in sanitized(notebook, text)[1]
        }
        for rule in changed:
            found[rule].append(cell.id)
    return found
