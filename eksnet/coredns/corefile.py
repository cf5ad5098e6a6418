"""A Corefile as CoreDNS reads it: its words with their places, and what they form.

There is one reader. The edits, the hash, the list of plugins, the checks before an edit and the
checkpoints use this tree, so what one of them takes no other refuses.

What CoreDNS refuses here is refused. Snippets, `(name) { … }`, are put where `import name` stands,
as CoreDNS does; a word from one knows its way (`Token.via`). Files that `import` brings are no part
of the text: they are named in `Corefile.imports`, and read as if they were empty. Variables,
`{$NAME}` and `{%NAME%}`, are in `Corefile.variables`, and stay as they are unless their values are
given.

Source: caddyfile/lexer.go, dispenser.go and parse.go of github.com/coredns/caddy, at the version
that CoreDNS 1.14.3 requires (15135a999495). Functions of ours name theirs.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from eksnet.errors import EksnetError

BYTE_ORDER_MARK = "\ufeff"
SPACE = r"\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What Go's unicode.IsSpace takes, for a set of a regular expression; Python counts more."""
# A quoted word, a comment, or a bare word. A carriage return does not end a bare word, and `#` in
# one begins a comment that ends with it.
_WORD = re.compile(
    r'"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)(?P<closed>"|\\?\Z)'
    r"|(?P<comment>#[^\n]*)"
    rf"|(?P<bare>[^{SPACE}#](?:[^{SPACE}#]|\r)*)(?:#(?:[^{SPACE}]|\r)*)?",
    re.DOTALL,
)
# What Python takes for a blank and Go does not, and a carriage return.
_ODD = re.compile(r"[\r\x1c-\x1f]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_VARIABLE = re.compile(r"\{%(?!\}|%\})(?P<percent>.+?)%\}|\{\$(?P<dollar>[^}]+)\}", re.DOTALL)
_MOST_EXPANSIONS = 10_000
_MOST_REPLACED = 1_000
# Relative names are looked for beside the Corefile, which is here in the pods of a cluster.
_DIRECTORY = "/etc/coredns"
_PORTS = {"dns": "53", "tls": "853", "quic": "853", "grpc": "443", "https": "443", "https3": "443"}


class CorefileError(EksnetError):
    """A Corefile that CoreDNS would refuse to read.

    Attributes:
        line: The line of it that is wrong, from 1; 0 where it is no line.
    """

    def __init__(
        self, seen: str, expected: str = "", next_step: str = "", *, line: int = 0
    ) -> None:
        super().__init__(seen, expected, next_step)
        self.line = line


class Token(NamedTuple):
    """A word of a Corefile; a tuple, since a text has many of them.

    Attributes:
        text: The word, without quotation marks.
        line: The line on which it begins, from 1.
        column: The character of that line with which it begins, from 1.
        start: The character of the text with which it begins, from 0, its quotation mark included.
        end: The character after it.
        via: The imports through which it came from a snippet, outermost first; empty for a word
            that stands where it is read.
    """

    text: str
    line: int
    column: int
    start: int
    end: int
    via: tuple[Import, ...] = ()

    @property
    def last_line(self) -> int:
        """The line on which it ends: a quoted word may hold line breaks."""
        return self.line + self.text.count("\n") if "\n" in self.text else self.line

    @property
    def extent(self) -> tuple[int, int]:
        """The characters of the text that bring it: its own, or those of the import."""
        return self.via[0].extent if self.via else (self.start, self.end)


@dataclass(frozen=True)
class Import:
    """A line `import`.

    Attributes:
        pattern: The snippet, or the file or files, that it names.
        word: The word `import`.
        argument: The word after it.
    """

    pattern: str
    word: Token
    argument: Token

    @property
    def line(self) -> int:
        """The line on which it stands."""
        return self.word.line

    @property
    def extent(self) -> tuple[int, int]:
        """The characters of the text that bring it."""
        return self.word.via[0].extent if self.word.via else (self.word.start, self.argument.end)


@dataclass(frozen=True)
class Plugin:
    """One use of a plugin: its line, and the block after it.

    Attributes:
        name: Its name.
        tokens: Its words, the name first, braces among them.
        imports: The imports inside it of files, and of snippets.
    """

    name: str
    tokens: tuple[Token, ...]
    imports: tuple[Import, ...] = ()

    @property
    def line(self) -> int:
        """The line on which its name stands."""
        return self.tokens[0].line

    @property
    def snippet(self) -> str:
        """The snippet that the server block imports it with; empty when it is written there."""
        via = self.tokens[0].via
        return via[0].pattern if via else ""

    @functools.cached_property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """Its words line by line, as a plugin sees them; braces left out.

        Source: dispenser.go, NextArg and NextBlock.
        """
        lines: list[list[str]] = []
        before: Token | None = None
        for token in self.tokens:
            if token.text in ("{", "}"):
                before = None
                continue
            if before is None or before.last_line != token.line:
                lines.append([])
            lines[-1].append(token.text)
            before = token
        return tuple(map(tuple, lines))

    @property
    def extent(self) -> tuple[int, int]:
        """The characters of the text from its first word to its last."""
        parts = [token.extent for token in self.tokens]
        parts += [one.extent for one in self.imports]
        return parts[0][0], max(end for _, end in parts)


@dataclass(frozen=True)
class ServerBlock:
    """A server block of a Corefile.

    Attributes:
        keys: What stands before its brace, such as `.:53`.
        plugins: The uses of plugins, in the order in which they are written.
        imports: The files that it imports, in it or in the block of a plugin.
        key_tokens: The words of the keys.
        opening: Its brace; None for a Corefile that has one server block without.
        closing: The brace that ends it; None where the text ends it.
    """

    keys: tuple[str, ...]
    plugins: tuple[Plugin, ...]
    imports: tuple[Import, ...] = ()
    key_tokens: tuple[Token, ...] = ()
    opening: Token | None = None
    closing: Token | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its plugins, one for each use."""
        return tuple(plugin.name for plugin in self.plugins)

    @functools.cached_property
    def by_name(self) -> Mapping[str, tuple[Plugin, ...]]:
        """The uses of each plugin, by its name."""
        found: dict[str, tuple[Plugin, ...]] = {}
        for plugin in self.plugins:
            found[plugin.name] = (*found.get(plugin.name, ()), plugin)
        return found

    def uses(self, name: str) -> tuple[Plugin, ...]:
        """Return the uses of a plugin."""
        return self.by_name.get(name, ())

    def lines(self, name: str) -> tuple[tuple[str, ...], ...]:
        """Return a plugin's words line by line, of all its uses; nothing when it is not there."""
        return tuple(line for plugin in self.uses(name) for line in plugin.lines)

    def serves(self, zone: str) -> bool:
        """Tell whether it is for a zone and port, however both are written."""
        return address(zone) in map(address, self.keys)


@dataclass(frozen=True)
class Snippet:
    """A part of a Corefile that `import` puts where it stands.

    Attributes:
        name: Its name, without parentheses.
        tokens: Its words.
    """

    name: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Corefile:
    """A Corefile.

    Attributes:
        text: The text.
        blocks: Its server blocks, in their order.
        snippets: Its snippets, by name.
        imports: The files that it imports, which are no part of the text.
        variables: The variables whose values are not known.
        nameless: Server blocks whose keys are empty, for which nobody listens.
    """

    text: str
    blocks: tuple[ServerBlock, ...]
    snippets: Mapping[str, Snippet]
    imports: tuple[Import, ...]
    variables: tuple[str, ...]
    nameless: tuple[ServerBlock, ...] = ()

    def server_block(self, zone: str) -> ServerBlock:
        """Return the server block for a zone: the one with that key, else one with an equal key.

        Raises:
            EksnetError: There is none.
        """
        for block in self.blocks:
            if zone in block.keys:
                return block
        for block in self.blocks:
            if block.serves(zone):
                return block
        found = ", ".join(" ".join(block.keys) for block in self.blocks) or "none"
        raise EksnetError(f"no server block {zone} in the Corefile", f"one of its plugins: {found}")


def address(key: str) -> tuple[str, str, str]:
    """Return the scheme, zone and port of a server block's key, with all that may be left out.

    Source: CoreDNS 1.14.3 core/dnsserver/register.go, plugin/normalize.go (SplitHostPort).

    Example:
        >>> address("."), address("tls://Example.org")
        (('dns', '.', '53'), ('tls', 'example.org.', '853'))
    """
    scheme, separator, rest = key.partition("://")
    if not separator or scheme not in _PORTS:
        scheme, rest = "dns", key
    zone, port = rest, ""
    if found := re.fullmatch(r"(.*):([0-9]+)", rest, re.DOTALL):
        zone, port = found[1], found[2]
    return scheme, f"{zone.lower().rstrip('.')}.", port or _PORTS[scheme]


def read_corefile(text: str, environment: Mapping[str, str] | None = None) -> Corefile:
    """Return a Corefile as CoreDNS reads it.

    Args:
        text: The Corefile.
        environment: The variables of CoreDNS's process; None when they are not known.

    Raises:
        CorefileError: CoreDNS would refuse it for its braces, its keys or an import.
        EksnetError: It is no text.
    """
    reader = _Reader(_tokens_of(text, "the Corefile"), environment, {}, "the Corefile")
    found = tuple(reader.blocks())
    blocks = tuple([block for block in found if block.keys])
    nameless = tuple([block for block in found if not block.keys])
    files, variables = tuple(reader.files), tuple(reader.variables)
    return Corefile(text, blocks, reader.snippets, files, variables, nameless)


def read_plugins(block: str, corefile: Corefile) -> tuple[Plugin, ...]:
    """Return the uses of plugins in lines that are to be put into a server block.

    Args:
        block: The lines.
        corefile: The Corefile, whose snippets they may import.

    Raises:
        CorefileError: Their braces do not leave a server block as it is.
        EksnetError: They are no text.
    """
    reader = _Reader(_tokens_of(block, "the block"), None, dict(corefile.snippets), "the block")
    return reader.loose_plugins()


def _tokens_of(text: str, what: str) -> list[Token]:
    if not isinstance(text, str):
        raise EksnetError(f"{what} is of type {type(text).__name__}", "its text (str)")
    return _tokens(text)


def _tokens(text: str) -> list[Token]:
    """Return the words of a text; most lines have nothing but words and blanks.

    Source: lexer.go, load and next.
    """
    found: list[Token] = []
    plain = text.isascii() and not _ODD.search(text)
    start = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
    line, size, make = 1, len(text), tuple.__new__
    while start < size:
        end = text.find("\n", start)
        end = size if end < 0 else end
        written = text[start:end]
        if not plain or '"' in written or "#" in written:
            line, start = _read_line(text, line, start, found)
            continue
        place = start
        for word in written.split():
            place = text.index(word, place)
            after = place + len(word)
            found.append(make(Token, (word, line, place - start + 1, place, after, ())))
            place = after
        line, start = line + 1, end + 1
    return found


def _read_line(text: str, line: int, line_start: int, found: list[Token]) -> tuple[int, int]:
    """Read a line with all that a line can have; a quoted word may lead to a later one.

    Returns:
        The number of the line after it, and where that begins.
    """
    end = _end_of_line(text, line_start)
    for one in _WORD.finditer(text, line_start):
        start = one.start()
        if start > end:
            break
        if one["comment"] is not None:
            continue
        if one["quoted"] is not None:
            word, stop = _unescaped(one["quoted"]), one.end()
            if not word and not one["closed"]:
                break
        else:
            written = one["bare"].rstrip("\r")
            word, stop = written.replace("\r", ""), start + len(written)
        found.append(Token(word, line, start - line_start + 1, start, stop))
        if stop > end:
            line += text.count("\n", end, stop)
            line_start = text.rfind("\n", 0, stop) + 1
            end = _end_of_line(text, stop)
    return line + 1, end + 1


def _end_of_line(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _unescaped(word: str) -> str:
    if "\\" not in word:
        return word
    return _ESCAPED.sub(lambda pair: pair[1] if pair[1] == '"' else pair[0], word)


@dataclass
class _Reader:
    """Goes over the words once, and puts what is imported among them.

    Source: parse.go, parser; dispenser.go, Dispenser.

    Attributes:
        tokens: The words that are read.
        environment: The variables and their values; None when they are not known.
        snippets: The snippets that have been read so far.
        what: What the text is called in an error.
    """

    tokens: list[Token]
    environment: Mapping[str, str] | None
    snippets: dict[str, Snippet]
    what: str
    files: list[Import] = field(default_factory=list)
    variables: dict[str, None] = field(default_factory=dict)
    _cursor: int = -1
    _imports: list[Import] = field(default_factory=list)
    _expansions: int = 0
    _ended: bool = False
    _closing: Token | None = None

    def blocks(self) -> Iterator[ServerBlock]:
        """Source: parse.go, parseAll."""
        while self._next():
            yield self._block()

    def loose_plugins(self) -> tuple[Plugin, ...]:
        """Return the uses of plugins outside of a server block."""
        plugins = tuple(self._plugins())
        if self._closing:
            raise self._unopened()
        return plugins

    # Source: dispenser.go.

    @property
    def _word(self) -> str:
        """Source: Val."""
        return self.tokens[self._cursor].text if 0 <= self._cursor < len(self.tokens) else ""

    @property
    def _line(self) -> int:
        """Source: Line."""
        return self.tokens[min(self._cursor, len(self.tokens) - 1)].line

    def _next(self) -> bool:
        """Source: Next."""
        if self._cursor >= len(self.tokens) - 1:
            return False
        self._cursor += 1
        return True

    def _next_on_line(self) -> bool:
        """Source: NextArg."""
        here, after = self._cursor, self._cursor + 1
        if after >= len(self.tokens) or self.tokens[here].last_line != self.tokens[after].line:
            return False
        self._cursor = after
        return True

    def _begins_line(self) -> bool:
        """Source: isNewLine."""
        here = self._cursor
        if here < 1:
            return True
        return here < len(self.tokens) and _breaks(self.tokens[here - 1], self.tokens[here])

    # Source: parse.go.

    def _block(self) -> ServerBlock:
        """Source: begin, blockContents."""
        keys, key_tokens = self._keys()
        before = len(self.files)
        if self._ended:
            return ServerBlock(keys, (), (), key_tokens)
        if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
            # A key of one parenthesis is both; what is left of it is no name.
            self._define(keys[0][1:].removesuffix(")"))
            return ServerBlock((), ())
        opening = self.tokens[self._cursor] if self._word == "{" else None
        if not opening:
            self._cursor -= 1
        plugins = tuple(self._plugins())
        if opening and self._word != "}":
            raise CorefileError(
                f"the server block {' '.join(keys)} is not closed",
                "a `}` for each `{`",
                line=opening.line,
            )
        return ServerBlock(
            keys, plugins, tuple(self.files[before:]), key_tokens, opening, self._closing
        )

    def _keys(self) -> tuple[tuple[str, ...], tuple[Token, ...]]:
        """Source: addresses."""
        keys: list[str] = []
        tokens: list[Token] = []
        another = False
        while (word := self._key()) != "{":
            if word:
                another = word.endswith(",")
                keys.append(word.removesuffix(","))
                tokens.append(self.tokens[self._cursor])
            self._ended = not self._next()
            if self._ended or (not another and self._begins_line()):
                break
        if another:
            seen = "ends after a comma" if self._ended else "has a comma after the last key"
            raise self._error(seen, "a key after each comma")
        return tuple(keys), tuple(tokens)

    def _key(self) -> str:
        """Return the word that is to be a key; what a line `import` brings stands in its place."""
        while (word := self._replaced(self._word)) == "import" and self._begins_line():
            self._import()
        return word

    def _define(self, name: str) -> None:
        """Source: begin, snippetTokens."""
        if name in self.snippets:
            raise self._error(f"defines the snippet {name} again", "one definition of each snippet")
        if self._word != "{":
            raise self._error(f"begins the snippet {name} without a brace", f"({name}) {{ … }}")
        tokens: list[Token] = []
        depth, line = 1, self._line
        while self._next():
            depth += (self._word == "{") - (self._word == "}")
            if not depth:
                break
            tokens.append(self.tokens[self._cursor])
        if depth:
            raise CorefileError(
                f"the snippet {name} is not closed", "a `}` for each `{`", line=line
            )
        self._refuse_own_import(name, tokens)
        self.snippets[name] = Snippet(name, tuple(tokens))

    def _refuse_own_import(self, name: str, tokens: list[Token]) -> None:
        for index, token in enumerate(tokens[:-1]):
            begins = not index or tokens[index - 1].line != token.line
            if begins and token.text == "import" and self._replaced(tokens[index + 1].text) == name:
                raise _endless(name, token)

    def _plugins(self) -> Iterator[Plugin]:
        """Source: directives."""
        self._closing = None
        tokens = self.tokens
        while self._cursor + 1 < len(tokens):
            self._cursor += 1
            token = tokens[self._cursor]
            if token.text == "}":
                self._closing = token
                return
            if token.text == "import":
                self._import()
                self._cursor -= 1
                continue
            yield self._plugin()

    def _plugin(self) -> Plugin:
        """Source: directive."""
        tokens, here, before = self.tokens, self._cursor, len(self._imports)
        first = tokens[here]
        name = self._replaced(first.text) if "{" in first.text else first.text
        words, depth = [first], 0
        # Most words of a Corefile come by here.
        while here + 1 < len(tokens):
            here += 1
            token = tokens[here]
            text = token.text
            if text == "{":
                depth += 1
            elif not depth and _breaks(tokens[here - 1], token):
                here -= 1
                break
            elif text == "}":
                depth = self._closed(here, depth)
            elif text == "import" and _breaks(tokens[here - 1], token):
                self._cursor = here
                self._import()
                here = self._cursor - 1
                continue
            elif "{" in text:
                token = tokens[here] = token._replace(text=self._replaced(text))
            words.append(token)
        self._cursor = here
        if depth:
            raise CorefileError(
                f"the block of {name} in line {first.line} is not closed",
                "a `}` for each `{`",
                line=first.line,
            )
        return Plugin(name, tuple(words), tuple(self._imports[before:]))

    def _closed(self, here: int, depth: int) -> int:
        """Return how deep it is after a closing brace."""
        if not depth:
            self._cursor = here
            raise self._unopened()
        return depth - 1

    def _import(self) -> None:
        """Put what is imported in the place of the two words; the first of it is the next.

        Source: doImport.
        """
        place, word = self._cursor, self.tokens[self._cursor]
        if not self._next_on_line():
            raise self._error("imports nothing", "a snippet or a file after `import`")
        pattern = self._replaced(self._word)
        if not pattern:
            raise self._error("imports nothing", "a snippet or a file after `import`")
        statement = Import(pattern, word, self.tokens[self._cursor])
        if self._next_on_line():
            raise self._error(
                f"has more than one word after `import`: {self._word}",
                "a snippet or a file, and nothing else; CoreDNS passes a snippet no arguments",
            )
        self._imports.append(statement)
        if snippet := self.snippets.get(pattern):
            self._expansions += 1
            around = [one.pattern for one in word.via]
            if self._expansions > _MOST_EXPANSIONS or pattern in around:
                raise _endless(pattern, word)
            via = (*word.via, statement)
            imported = [token._replace(via=via) for token in snippet.tokens]
        else:
            self._refuse_wildcards(pattern)
            self.files.append(statement)
            imported = []
        self.tokens[place : place + 2] = imported
        self._cursor = place

    def _refuse_wildcards(self, pattern: str) -> None:
        path = pattern
        if not path.startswith("/"):
            path = posixpath.normpath(posixpath.join(_DIRECTORY, pattern))
        plain = _ESCAPED.sub("", path)
        if path.count("*") > 1 or path.count("?") > 1 or ("[" in path and "]" in path):
            raise self._error(f"imports {pattern}", "a pattern with one `*` at most")
        if "[" in plain or plain.endswith("\\"):
            raise self._error(f"imports {pattern}", "a pattern that is whole")

    def _replaced(self, text: str) -> str:
        """Return a word with the values of its variables.

        Source: replaceEnvVars, replaceEnvReferences.
        """
        if "{" not in text:
            return text
        if self.environment is None:
            for found in _VARIABLE.finditer(text):
                self.variables[found["percent"] or found["dollar"]] = None
            return text
        return self._values(self._values(text, "{%", "%}"), "{$", "}")

    def _values(self, text: str, opening: str, closing: str) -> str:
        environment = self.environment or {}
        for _ in range(_MOST_REPLACED):
            start = text.find(opening)
            end = text.find(closing, max(start, 0))
            if start < 0 or end <= start + len(opening):
                return text
            reference = text[start : end + len(closing)]
            name = reference[len(opening) : -len(closing)]
            text = text.replace(reference, environment.get(name, ""))
        raise self._error("names a variable that names itself", "a variable with a value")

    def _error(self, seen: str, expected: str) -> CorefileError:
        line = self._line
        return CorefileError(f"line {line} of {self.what} {seen}", expected, line=line)

    def _unopened(self) -> CorefileError:
        expected = "a closing brace on a line of its own"
        return self._error("has a closing brace without an opening one", expected)


def _breaks(before: Token, token: Token) -> bool:
    """Tell whether a word begins on a later line than the word before it ends on."""
    return before.line != token.line and before.last_line < token.line


def _endless(name: str, token: Token) -> CorefileError:
    return CorefileError(
        f"line {token.line} of the Corefile imports the snippet {name} into itself",
        "snippets that import others alone",
        line=token.line,
    )
