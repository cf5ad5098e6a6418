"""The Corefile: read far enough to put a plugin where it belongs, and leave the rest as it is."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from eksnet.errors import EksnetError


@dataclass(frozen=True)
class _Line:
    number: int
    tokens: tuple[str, ...]
    depth: int


def plugins(corefile: str, zone: str = ".:53") -> tuple[str, ...]:
    """Return the plugins of a server block, in the order in which they are written.

    That is not the order in which they are asked: see the table `coredns_plugin_order`.

    Raises:
        EksnetError: The Corefile is not whole, or has no such server block.
    """
    first, last = _server_block(_lines(corefile), zone)
    return tuple(
        line.tokens[0]
        for line in _lines(corefile)
        if first < line.number < last and line.depth == 1 and line.tokens[0] != "}"
    )


def add_plugin(corefile: str, block: str, zone: str = ".:53") -> str:
    """Return the Corefile with a plugin's lines at the end of a server block.

    Every other line stays as it is, to the byte. The place in the block does not matter: the order
    of plugins is fixed when CoreDNS is built. A second time it changes nothing.

    Args:
        corefile: The Corefile's text.
        block: The plugin's lines, at any indentation.
        zone: The server block, as it is written before its brace.

    Raises:
        EksnetError: The Corefile or the block is not whole, there is no such server block, or it
            has the plugin already, with other lines.
    """
    name = _name(block)
    if name in plugins(corefile, zone):
        if _has_block(corefile, block, zone):
            return corefile
        raise EksnetError(
            f"the server block {zone} already has the plugin {name}",
            "a Corefile without it",
            f"this replaces the old lines with the new ones: {_replacing(block, zone)}",
        )
    _, last = _server_block(_lines(corefile), zone)
    lines = corefile.splitlines(keepends=True)
    added = textwrap.indent(textwrap.dedent(block).strip("\n") + "\n", "    ")
    return "".join([*lines[: last - 1], added, *lines[last - 1 :]])


def remove_plugin(corefile: str, plugin: str, zone: str = ".:53") -> str:
    """Return the Corefile without a plugin's lines in a server block.

    Every other line stays as it is, to the byte.

    Args:
        corefile: The Corefile's text.
        plugin: The plugin's name.
        zone: The server block, as it is written before its brace.

    Raises:
        EksnetError: The Corefile is not whole, has no such server block, or not the plugin.
    """
    if plugin not in plugins(corefile, zone):
        raise EksnetError(
            f"the server block {zone} has no plugin {plugin}",
            f"one of its plugins: {', '.join(plugins(corefile, zone))}",
        )
    first, last = _server_block(_lines(corefile), zone)
    inside = [line for line in _lines(corefile) if first < line.number < last]
    gone: set[int] = set()
    for line in inside:
        if line.depth == 1 and line.tokens[0] == plugin:
            gone.update(range(line.number, _end(line, inside) + 1))
    lines = corefile.splitlines(keepends=True)
    return "".join(text for number, text in enumerate(lines, start=1) if number not in gone)


def remove_server_block(corefile: str, zone: str) -> str:
    """Return the Corefile without a server block.

    Every other line stays as it is, to the byte.

    Args:
        corefile: The Corefile's text.
        zone: The server block, as it is written before its brace.

    Raises:
        EksnetError: The Corefile is not whole, or has no such server block.
    """
    first, last = _server_block(_lines(corefile), zone)
    lines = corefile.splitlines(keepends=True)
    return "".join([*lines[: first - 1], *lines[last:]])


def set_plugin(corefile: str, block: str, zone: str = ".:53") -> str:
    """Return the Corefile with these lines of a plugin, and no other lines of it.

    They stand at the end of the server block. A second time it changes nothing.

    Args:
        corefile: The Corefile's text.
        block: The plugin's lines, at any indentation.
        zone: The server block, as it is written before its brace.

    Raises:
        EksnetError: The Corefile or the block is not whole, or there is no such server block.
    """
    name = _name(block)
    there = name in plugins(corefile, zone)
    return add_plugin(remove_plugin(corefile, name, zone) if there else corefile, block, zone)


def _has_block(corefile: str, block: str, zone: str) -> bool:
    """Tell whether a server block has a plugin with just these lines, and no others of it."""
    first, last = _server_block(_lines(corefile), zone)
    inside = [line for line in _lines(corefile) if first < line.number < last]
    wanted = [line.tokens for line in _lines(block, "the block")]
    found: list[tuple[str, ...]] = []
    for line in inside:
        if line.depth == 1 and line.tokens[0] == wanted[0][0]:
            end = _end(line, inside)
            found += [one.tokens for one in inside if line.number <= one.number <= end]
    return found == wanted


def _replacing(block: str, zone: str) -> str:
    where = "" if zone == ".:53" else f", {zone!r}"
    change = f"coredns.set_plugin(text, {textwrap.dedent(block).strip()!r}{where})"
    return f'cluster.edit_configmap("coredns", "Corefile", lambda text: {change}, "kube-system")'


def _name(block: str) -> str:
    """Return the name of a plugin whose lines can be put into a server block.

    Raises:
        EksnetError: They say nothing, or their braces do not leave the server block as it is.
    """
    lines = _lines(block, "the block")
    if not lines:
        raise EksnetError("the block is empty", "the lines of a plugin, its name first")
    for line in lines:
        # CoreDNS reads some of these; what it makes of them is not what they look like.
        if "{" in line.tokens[:-1] or ("}" in line.tokens and line.tokens != ("}",)):
            raise EksnetError(
                f"line {line.number} of the block has a brace in the middle of the line",
                "a `{` at the end of a line, and a `}` on a line of its own",
            )
    return lines[0].tokens[0]


def _end(line: _Line, lines: list[_Line]) -> int:
    """Return the number of the last line of what begins with a line: a block's or its own."""
    if line.tokens[-1] != "{":
        return line.number
    after = (later for later in lines if later.number > line.number)
    return next(later.number for later in after if later.depth == 2 and later.tokens == ("}",))


def _server_block(lines: list[_Line], zone: str) -> tuple[int, int]:
    """Return the line numbers of a server block's opening and closing braces."""
    opening = [line for line in lines if line.depth == 0 and line.tokens[-1] == "{"]
    for line in opening:
        if zone in " ".join(line.tokens[:-1]).replace(",", " ").split():
            closing = (
                later.number
                for later in lines
                if later.number > line.number and later.depth == 1 and later.tokens[0] == "}"
            )
            return line.number, next(closing)
    found = ", ".join(" ".join(line.tokens[:-1]) for line in opening) or "none"
    raise EksnetError(f"no server block {zone} in the Corefile", f"one of its plugins: {found}")


def _lines(corefile: str, what: str = "the Corefile") -> list[_Line]:
    """Return the lines that say something, each with its words and how deep it stands."""
    if not isinstance(corefile, str):
        raise EksnetError(f"{what} is of type {type(corefile).__name__}", "its text (str)")
    lines, depth = [], 0
    for number, text in enumerate(corefile.splitlines(), start=1):
        tokens = _tokens(text)
        if not tokens:
            continue
        lines.append(_Line(number, tokens, depth))
        if tokens[-1] == "{":
            depth += 1
        elif tokens == ("}",):
            depth -= 1
        if depth < 0:
            raise EksnetError(
                f"line {number} of {what} has a closing brace without an opening one",
                "a `{` for each `}`",
            )
    if depth:
        raise EksnetError(f"{what} ends with {depth} open brace(s)", "a `}` for each `{`")
    return lines


def _tokens(text: str) -> tuple[str, ...]:
    """Split a line into words; a quoted text is one word, a comment none."""
    words: list[str] = []
    word, quoted = "", False
    for character in text + " ":
        if character == '"' and not word.endswith("\\"):
            quoted = not quoted
            word += character
        elif character.isspace() and not quoted:
            # In a word, `#` begins a comment that ends with that word, says CoreDNS's lexer.
            words += [word if word[0] == '"' else word.partition("#")[0]] if word else []
            word = ""
        elif character == "#" and not word and not quoted:
            break
        else:
            word += character
    return tuple(words)
