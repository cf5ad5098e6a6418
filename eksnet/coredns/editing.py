"""Edits of a Corefile that leave all other text as it is, to the byte.

Each edit is read again before it is returned: the server blocks have to be those from before, but
for what was to change.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from eksnet.coredns.corefile import (
    BYTE_ORDER_MARK,
    SPACE,
    Corefile,
    Plugin,
    ServerBlock,
    Token,
    read_corefile,
    read_plugins,
)
from eksnet.coredns.plugins import adds_up, is_refused_twice
from eksnet.errors import EksnetError

ZONE = ".:53"
"""The key of the server block that Kubernetes installs."""

_INDENT = "    "
_BLANK = re.compile(rf"[{SPACE}]*")
_REST = re.compile(rf"(?:(?!\n)[{SPACE}])*(?:#[^\n]*)?(?:\n|\Z)")
_SPECIAL = re.compile(rf'[{SPACE}"#]')

Line = tuple[str, ...]
Lines = tuple[Line, ...]
Shape = list[tuple[tuple[str, ...], list[Lines]]]
"""The keys of each server block, and the lines of each of its plugins."""


def plugins(corefile: str, zone: str = ZONE) -> tuple[str, ...]:
    """Return the plugins of a server block, in the order in which they are written.

    What a snippet of the Corefile brings is among them; what a file brings cannot be: `imports`
    names it. That is not the order in which they are asked: see the table `coredns_plugin_order`.

    Args:
        corefile: The Corefile's text.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile, or it has no such server block.
    """
    return read_corefile(corefile).server_block(zone).names


def imports(corefile: str) -> tuple[str, ...]:
    """Return the files that a Corefile imports, as it names them.

    Args:
        corefile: The Corefile's text.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile.
    """
    return tuple(one.pattern for one in read_corefile(corefile).imports)


def add_plugin(corefile: str, block: str, zone: str = ZONE) -> str:
    """Return the Corefile with a plugin's lines at the end of a server block.

    The place in the block does not matter: the order of plugins is fixed when CoreDNS is built. A
    second time it changes nothing. Plugins whose uses add up, such as `rewrite` and `log`, may be
    there already, with other lines.

    Args:
        corefile: The Corefile's text.
        block: The plugin's lines, at any indentation.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile or the block, there is no such server block,
            or it has the plugin already, with other lines or from a snippet.
    """
    tree = read_corefile(corefile)
    server = tree.server_block(zone)
    new = _plugins_in(block, tree)
    missing = [one for one in new if not _is_there(one, server)]
    for one in missing:
        if (there := server.uses(one.name)) and not adds_up(one.name):
            raise _taken(one, there[0], block, zone)
    if not missing:
        return corefile
    parts = [block] if len(missing) == len(new) else [block[slice(*one.extent)] for one in missing]
    # The lines of a quoted word would change with their indentation.
    verbatim = any(token.last_line > token.line for one in missing for token in one.tokens)
    changed = _put_in(tree, server, "\n".join(parts), verbatim=verbatim)
    plugins = [one.lines for one in (*server.plugins, *missing)]
    return _checked(changed, _shape(tree.blocks, server, plugins))


def extend_plugin(corefile: str, block: str, zone: str = ZONE) -> str:
    """Return the Corefile with a plugin's lines in the block that the plugin has already.

    Lines that are there are not put in again. The others stand before `fallthrough`, after which
    `hosts` takes no entry, or at the end. Where the plugin is not used yet, it is added.

    Args:
        corefile: The Corefile's text.
        block: The plugin's lines, at any indentation.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile or the block, there is no such server block,
            or its use of the plugin has other arguments, or is not written there.
    """
    tree = read_corefile(corefile)
    server = tree.server_block(zone)
    (new,) = _one(_plugins_in(block, tree))
    there = server.uses(new.name)
    if not there:
        return add_plugin(corefile, block, zone)
    old = there[0]
    if len(there) > 1 or not _can_take(old, new):
        raise _taken(new, old, block, zone)
    missing = [line for line in new.lines[1:] if line not in old.lines[1:]]
    if not missing:
        return corefile
    place = next((n for n, line in enumerate(old.lines) if n and line[0] == "fallthrough"), None)
    lines = (*old.lines[:place], *missing, *(old.lines[place:] if place else ()))
    plugins = [lines if one is old else one.lines for one in server.plugins]
    return _checked(_extended(tree, old, missing), _shape(tree.blocks, server, plugins))


def remove_plugin(corefile: str, plugin: str, zone: str = ZONE) -> str:
    """Return the Corefile without a plugin's lines in a server block.

    Args:
        corefile: The Corefile's text.
        plugin: The plugin's name.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile, it has no such server block, or not the
            plugin there, or only from a snippet.
    """
    tree = read_corefile(corefile)
    server = tree.server_block(zone)
    gone = server.uses(plugin)
    if not gone:
        raise EksnetError(
            f"the server block {zone} has no plugin {plugin}",
            f"one of its plugins: {', '.join(server.names) or 'none'}",
        )
    for one in gone:
        if one.snippet:
            raise _from_snippet(one, zone)
    changed = corefile
    for one in reversed(gone):
        changed = _cut(changed, *one.extent)
    left = [one.lines for one in server.plugins if one.name != plugin]
    return _checked(changed, _shape(tree.blocks, server, left))


def remove_server_block(corefile: str, zone: str) -> str:
    """Return the Corefile without a server block.

    Args:
        corefile: The Corefile's text.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile, or it has no such server block.
    """
    tree = read_corefile(corefile)
    server = tree.server_block(zone)
    changed = _cut(corefile, *_extent(server))
    others = [one for one in tree.blocks if one is not server]
    return _checked(changed, _shape(others, server, []))


def comment_out(corefile: str, zone: str) -> str:
    """Return the Corefile with a server block as a comment.

    Args:
        corefile: The Corefile's text.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile, or it has no such server block.
    """
    tree = read_corefile(corefile)
    server = tree.server_block(zone)
    start, end = _extent(server)
    first = _line_start(corefile, start)
    lines = corefile[first:end].split("\n")
    commented = "\n".join(f"# {line}" if line.strip() else line for line in lines)
    rest = _REST.match(corefile, end)
    broken = "" if rest else _end_of_lines(corefile)
    changed = f"{corefile[:first]}{commented}{broken}{corefile[end:]}"
    others = [one for one in tree.blocks if one is not server]
    return _checked(changed, _shape(others, server, []))


def set_plugin(corefile: str, block: str, zone: str = ZONE) -> str:
    """Return the Corefile with these lines of a plugin, and no other lines of it.

    They stand at the end of the server block. A second time it changes nothing.

    Args:
        corefile: The Corefile's text.
        block: The plugin's lines, at any indentation.
        zone: The server block, by its key.

    Raises:
        EksnetError: CoreDNS would refuse the Corefile or the block, there is no such server block,
            or the plugin comes from a snippet.
    """
    tree = read_corefile(corefile)
    server = tree.server_block(zone)
    new = _plugins_in(block, tree)
    names = dict.fromkeys(one.name for one in new)
    there = [one for one in server.plugins if one.name in names]
    if [one.lines for one in there] == [one.lines for one in new]:
        return corefile
    changed = corefile
    for name in names:
        if server.uses(name):
            changed = remove_plugin(changed, name, zone)
    return add_plugin(changed, block, zone)


def edit_command(change: str) -> str:
    """Return the command that changes the cluster's Corefile.

    Args:
        change: The change as an expression of `text`, such as `coredns.add_plugin(text, "reload")`.
    """
    return f'cluster.edit_configmap("coredns", "Corefile", lambda text: {change}, "kube-system")'


def change_command(function: str, block: str, zone: str = ZONE) -> str:
    """Return the command that puts a plugin's lines into the cluster's Corefile.

    Args:
        function: The function of `coredns` that does, such as `add_plugin`.
        block: The plugin's lines.
        zone: The server block, by its key.
    """
    where = "" if zone == ZONE else f", {zone!r}"
    return edit_command(f"coredns.{function}(text, {textwrap.dedent(block).strip()!r}{where})")


def _is_there(new: Plugin, server: ServerBlock) -> bool:
    there = [one for one in server.uses(new.name) if adds_up(new.name) or not one.snippet]
    return new.lines in [one.lines for one in there]


def _can_take(old: Plugin, new: Plugin) -> bool:
    return bool(new.lines[1:]) and old.lines[0] == new.lines[0] and not old.snippet


def _taken(new: Plugin, old: Plugin, block: str, zone: str) -> EksnetError:
    """Return what is to be said of a plugin that is there, with a step that takes nothing out."""
    if old.snippet:
        return _from_snippet(old, zone)
    step = "look at the text, and change that line yourself: " + edit_command(
        f'text.replace({" ".join(old.lines[0])!r}, "<THE WHOLE NEW LINE>")'
    )
    if _can_take(old, new):
        step = f"this puts the lines into its block: {change_command('extend_plugin', block, zone)}"
    takes = "refuses" if is_refused_twice(new.name) else "does not follow"
    return EksnetError(
        f"the server block {zone} already has the plugin {new.name}, in line {old.line}",
        f"one use of {new.name}: CoreDNS {takes} a second one",
        step,
    )


def _from_snippet(old: Plugin, zone: str) -> EksnetError:
    line = old.tokens[0].via[0].line
    return EksnetError(
        f"the server block {zone} has the plugin {old.name} from the snippet {old.snippet}, which "
        f"line {line} imports",
        "a plugin that is written in the server block",
        f"change line {old.line} in the snippet; it counts for all server blocks that import it",
    )


def _plugins_in(block: str, tree: Corefile) -> tuple[Plugin, ...]:
    """Return the plugins whose lines can be put into a server block.

    Raises:
        EksnetError: They say nothing, or their braces do not leave the server block as it is.
    """
    found = read_plugins(block, tree)
    if not found:
        raise EksnetError("the block is empty", "the lines of a plugin, its name first")
    for one in found:
        _refuse_braces_among_words(one)
    return found


def _refuse_braces_among_words(plugin: Plugin) -> None:
    # CoreDNS reads some of these; what it makes of them is not what they look like.
    own = [token for token in plugin.tokens if not token.via]
    for before, token, after in zip([None, *own], own, [*own[1:], None], strict=False):
        begins = before is None or before.last_line < token.line
        ends = after is None or token.line < after.line
        if (token.text == "{" and (begins or not ends)) or (
            token.text == "}" and not (begins and ends)
        ):
            raise EksnetError(
                f"line {token.line} of the block has a brace in the middle of the line",
                "a `{` at the end of a line, and a `}` on a line of its own",
            )


def _one(found: Sequence[Plugin]) -> Sequence[Plugin]:
    if len(found) != 1:
        raise EksnetError(
            f"the block has {len(found)} plugins", "the lines of one plugin", "one after the other"
        )
    return found


def _put_in(tree: Corefile, server: ServerBlock, block: str, *, verbatim: bool) -> str:
    text = tree.text
    added = _indented(block, _INDENT, _end_of_lines(text), verbatim=verbatim)
    if server.closing is None:
        # The text ends the server block; where it has a brace, that of a plugin has closed it too.
        first = "" if not text or text.endswith("\n") else _end_of_lines(text)
        last = f"}}{_end_of_lines(text)}" if server.opening else ""
        return f"{text}{first}{added}{last}"
    return _before(text, server.closing.extent[0], added, "")


def _extended(tree: Corefile, old: Plugin, missing: Sequence[Line]) -> str:
    text = tree.text
    lines = "\n".join(" ".join(map(_quoted, line)) for line in missing)
    added = _indented(lines, 2 * _INDENT, _end_of_lines(text))
    own = [token for token in old.tokens if not token.via]
    if own[-1].text != "}":
        place = own[-1].end
        return f"{text[:place]} {{{_end_of_lines(text)}{added}{_INDENT}}}{text[place:]}"
    passes_on = [token for token in own if token.text == "fallthrough" and _begins(token, own)]
    place = (passes_on or own[-1:])[0].start
    return _before(text, place, added, 2 * _INDENT if passes_on else _INDENT)


def _begins(token: Token, tokens: Sequence[Token]) -> bool:
    """Tell whether a word is the first of its line, as a plugin sees it."""
    before = tokens[tokens.index(token) - 1]
    return before.text == "{" or before.last_line < token.line


def _before(text: str, place: int, added: str, indent: str) -> str:
    """Return the text with lines before a word, which stands on a line of its own then."""
    line = _line_start(text, place)
    if _BLANK.fullmatch(text, line, place):
        return f"{text[:line]}{added}{text[line:]}"
    return f"{text[:place]}{_end_of_lines(text)}{added}{indent}{text[place:]}"


def _quoted(word: str) -> str:
    """Return a word as it can be written."""
    if word and not _SPECIAL.search(word):
        return word
    return '"' + word.replace('"', '\\"') + '"'


def _indented(block: str, indent: str, end: str, *, verbatim: bool = False) -> str:
    """Return lines at an indentation, the last one with its end."""
    if verbatim:
        return block.strip("\r\n") + end
    lines = textwrap.dedent(block.replace("\r\n", "\n")).strip("\n").split("\n")
    return "".join(f"{indent + line if line.strip() else ''}{end}" for line in lines)


def _end_of_lines(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, place: int) -> int:
    return max(text.rfind("\n", 0, place) + 1, len(text) - len(text.removeprefix(BYTE_ORDER_MARK)))


def _cut(text: str, start: int, end: int) -> str:
    """Return the text without a part of it, and without its lines where nothing else is on them."""
    first = _line_start(text, start)
    rest = _REST.match(text, end)
    if rest and _BLANK.fullmatch(text, first, start):
        return text[:first] + text[rest.end() :]
    return text[:start] + text[end:]


def _extent(server: ServerBlock) -> tuple[int, int]:
    """Return the characters of the text from a server block's first key to its end."""
    parts = [token.extent for token in server.key_tokens]
    parts += [token.extent for token in (server.opening, server.closing) if token]
    parts += [plugin.extent for plugin in server.plugins]
    parts += [one.extent for one in server.imports]
    return parts[0][0], max(end for _, end in parts)


def _shape(blocks: Iterable[ServerBlock], at: ServerBlock, plugins: Sequence[Lines]) -> Shape:
    """Return what a Corefile is to be, with these plugins in one of its server blocks."""
    return [
        (one.keys, list(plugins) if one is at else [plugin.lines for plugin in one.plugins])
        for one in blocks
    ]


def _checked(changed: str, wanted: Shape) -> str:
    """Return a text that is read as it was meant.

    Raises:
        EksnetError: It is not.
    """
    found = read_corefile(changed).blocks
    if [(one.keys, [plugin.lines for plugin in one.plugins]) for one in found] != wanted:
        raise EksnetError(
            "the edit would change more of the Corefile than it is to; nothing was changed",
            "each plugin and each brace on a line of its own, as EKS writes them",
            "write the Corefile so, and repeat the edit",
        )
    return changed
