"""A Corefile as CoreDNS reads it, and the hash of it that the plugin `reload` logs.

The hash is SHA-512 over the parsed Corefile as Go writes it in JSON. So whether a pod runs the text
of a ConfigMap can be told from its log alone, without asking it a question.

Source: plugin/reload/reload.go of CoreDNS 1.14.3; caddyfile/lexer.go and parse.go of
github.com/coredns/caddy, at the version that CoreDNS 1.14.3 requires.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eksnet.coredns.logs import log_lines
from eksnet.errors import EksnetError

_LOGGED = re.compile(r"Running configuration SHA512 = ([0-9a-f]{128})")
_REFUSED = re.compile(r":(\d+) - Error during parsing: (.+)")
# A plugin that refuses its own lines names no line: at a start, and at a reload.
_NOT_SET_UP = re.compile(r"^(?:\[ERROR\] Restart failed: |(?=plugin/\w+: ))(.+)")
_UNKNOWN = re.compile(r": Unknown directive '(.+)'$")
# plugin/loop ends CoreDNS with [FATAL]; the client of the API says "Failed to watch" and the like.
_ERROR = re.compile(r"^\[(?:ERROR|FATAL)\]|plugin/loop: Loop|Failed to ")
_FAILED, _PLUGIN = re.compile(r"Failed to \w+"), re.compile(r"plugin/\w+")
# `import` brings another file's text, `{$NAME}` and `{%NAME%}` a variable of the pod's.
_ELSEWHERE = re.compile(r"\{[$%]")
# Python counts these as white space, Go does not.
_NO_SPACE = "\x1c\x1d\x1e\x1f"
# Go's JSON writes these so that they can stand in HTML and JavaScript.
_ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


class CorefileError(EksnetError):
    """A Corefile that CoreDNS would refuse to read."""


@dataclass(frozen=True)
class Token:
    """A word of a Corefile.

    Attributes:
        line: The line on which it begins, from 1.
        text: The word, without quotation marks.
    """

    line: int
    text: str


@dataclass(frozen=True)
class ServerBlock:
    """A server block of a Corefile.

    Attributes:
        keys: What stands before its brace, such as `.:53`.
        plugins: Each plugin's words, its own name first; a plugin that is written twice has the
            words of both.
    """

    keys: tuple[str, ...]
    plugins: dict[str, tuple[Token, ...]]

    def lines(self, plugin: str) -> tuple[tuple[str, ...], ...]:
        """Return a plugin's words line by line, braces left out; nothing when it is not there."""
        lines: dict[tuple[int, int], list[str]] = {}
        braces = 0
        for token in self.plugins.get(plugin, ()):
            if token.text in ("{", "}"):
                braces += 1
            else:
                lines.setdefault((token.line, braces), []).append(token.text)
        return tuple(map(tuple, lines.values()))


def read_corefile(corefile: str) -> tuple[ServerBlock, ...]:
    """Return a Corefile's server blocks, in its order.

    Raises:
        CorefileError: CoreDNS would refuse it for its braces.
        EksnetError: It takes text from elsewhere, which cannot be seen here.
    """
    return tuple(_blocks(list(_tokens(corefile))))


def configuration_hash(corefile: str) -> str:
    """Return the SHA-512 that a CoreDNS logs when it runs this Corefile, in hex.

    Raises:
        EksnetError: As `read_corefile` does.
    """
    blocks = [
        {
            "Keys": list(block.keys),
            "Tokens": {
                name: [{"File": "", "Line": token.line, "Text": token.text} for token in tokens]
                for name, tokens in sorted(block.plugins.items())
            },
        }
        for block in read_corefile(corefile)
    ]
    text = json.dumps(blocks or None, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha512(text.translate(_ESCAPED).encode()).hexdigest()


def logged_configurations(log: str) -> tuple[str, ...]:
    """Return the hashes in a CoreDNS log: the first at its start, one more after each reload."""
    return tuple(_LOGGED.findall(log))


def refusal(log: str) -> str:
    """Return why a CoreDNS refused a Corefile after the last one that it took; empty if none."""
    after = log[max((match.end() for match in _LOGGED.finditer(log)), default=0) :]
    reasons = [reason for line in log_lines(after) if (reason := _reason(line))]
    return reasons[-1] if reasons else ""


def _reason(line: str) -> str:
    if refused := _REFUSED.search(line):
        return f"line {refused[1]}: {refused[2]}"
    not_set_up = _NOT_SET_UP.match(line)
    return not_set_up[1] if not_set_up else ""


@dataclass(frozen=True)
class Running:
    """What CoreDNS pods run, as their logs tell.

    Attributes:
        current: How many run the Corefile that was asked about.
        total: How many pods there are.
        refused: Why one of them refused a Corefile since; empty when none did.
        final: Whether waiting cannot help: all that run another one have refused a plugin that
            they do not know and that is still there. CoreDNS tries a text once.
    """

    current: int
    total: int
    refused: str
    final: bool


def running(corefile: str, logs: Sequence[str]) -> Running:
    """Return how many CoreDNS pods run a Corefile.

    Args:
        corefile: The Corefile.
        logs: The pods' logs, one each; empty for a pod that has not started yet.

    Raises:
        EksnetError: As `read_corefile` does; or the pods do not tell, without the plugin `reload`.
    """
    if not any("reload" in block.plugins for block in read_corefile(corefile)):
        raise EksnetError(
            "the Corefile has no plugin reload, so the pods do not log which Corefile they run",
            "the plugin reload, as in the Corefile of EKS",
            'add it: cluster.edit_configmap("coredns", "Corefile", '
            'lambda text: coredns.add_plugin(text, "reload"), "kube-system")',
        )
    wanted = (configuration_hash(corefile),)
    others = [log for log in logs if logged_configurations(log)[-1:] != wanted]
    refusals = [refusal(log) for log in others]
    # The log does not say of which text a refusal is. With such a plugin every text is refused.
    final = bool(others) and all(_names_unknown(corefile, one) for one in refusals)
    refused = next(filter(None, map(refusal, logs)), "")
    return Running(len(logs) - len(others), len(logs), refused, final)


def _names_unknown(corefile: str, refused: str) -> bool:
    """Tell whether a Corefile has the plugin that was refused because CoreDNS has none such."""
    unknown = _UNKNOWN.search(refused)
    if not unknown:
        return False
    return any(unknown[1] in block.plugins for block in read_corefile(corefile))


def errors(log: str) -> tuple[str, ...]:
    """Return what a CoreDNS log complains of since it took over the configuration that it runs.

    Each complaint once, by plugin and cause, without the names, ports and numbers that differ from
    one time to the next.

    Example:
        >>> errors("[ERROR] plugin/errors: 2 a. A: read udp 10.0.1.5:3->10.0.0.2:53: i/o timeout")
        ('plugin/errors: i/o timeout',)
    """
    after = log[max((match.end() for match in _LOGGED.finditer(log)), default=0) :]
    return tuple(sorted({_complaint(line) for line in log_lines(after) if _ERROR.search(line)}))


def _complaint(line: str) -> str:
    if failed := _FAILED.search(line):
        return failed.group()
    if plugin := _PLUGIN.search(line):
        return f"{plugin.group()}: {'Loop' if 'Loop' in line else line.rpartition(': ')[2]}"
    return line.partition("] ")[2].partition(":")[0]


def _tokens(text: str) -> Iterator[Token]:
    """Split a text into words as CoreDNS's lexer does, its oddities included."""
    letters = text.removeprefix("\ufeff")
    position, line = 0, 1
    while position < len(letters):
        word, begin, comment, quoted, escaped = "", 0, False, False, False
        while position < len(letters):
            letter = letters[position]
            position += 1
            if quoted:
                if letter == "\\" and not escaped:
                    escaped = True
                    continue
                if letter == '"' and not escaped:
                    break
                line += letter == "\n"
                word += "\\" * (escaped and letter != '"') + letter
                escaped = False
            elif letter.isspace() and letter not in _NO_SPACE:
                line += letter == "\n"
                comment = comment and letter != "\n"
                if word and letter != "\r":
                    break
            elif comment or letter == "#":
                comment = True
            else:
                begin = begin or line
                quoted = letter == '"' and not word
                word += "" if quoted else letter
        if begin and (word or quoted):
            yield Token(begin, word)


def _blocks(tokens: list[Token]) -> Iterator[ServerBlock]:
    rest = tokens
    while rest:
        keys, rest = _keys(rest)
        braced = bool(rest) and rest[0].text == "{"
        plugins, rest = _plugins(rest[1:] if braced else rest, keys, braced=braced)
        yield ServerBlock(keys, plugins)


def _keys(tokens: list[Token]) -> tuple[tuple[str, ...], list[Token]]:
    keys: list[str] = []
    more = True
    for index, token in enumerate(tokens):
        if token.text == "{" or not (more or token.line == tokens[index - 1].line):
            return tuple(keys), tokens[index:]
        _refuse_elsewhere(token)
        if token.text.startswith("("):
            raise _elsewhere(token, "defines a snippet")
        more = token.text.endswith(",")
        keys += [token.text.removesuffix(",")] if token.text else []
    return tuple(keys), []


def _plugins(
    tokens: list[Token], keys: tuple[str, ...], *, braced: bool
) -> tuple[dict[str, tuple[Token, ...]], list[Token]]:
    plugins: dict[str, tuple[Token, ...]] = {}
    rest = tokens
    while rest:
        if rest[0].text == "}":
            return plugins, rest[1:]
        name = rest[0].text
        words, rest = _plugin(rest)
        plugins[name] = (*plugins.get(name, ()), *words)
    # At its end CoreDNS looks at the last word alone: that of a plugin's block will do.
    if braced and tokens[-1:] and tokens[-1].text != "}":
        raise CorefileError(
            f"the server block {' '.join(keys)} is not closed", "a `}` for each `{`"
        )
    return plugins, []


def _plugin(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    _refuse_elsewhere(tokens[0])
    depth = 0
    for index, token in enumerate(tokens[1:], start=1):
        before = tokens[index - 1]
        new_line = before.line + before.text.count("\n") < token.line
        if token.text == "{":
            depth += 1
        elif new_line and not depth:
            return tokens[:index], tokens[index:]
        elif token.text == "}":
            depth -= 1
        if depth < 0:
            raise CorefileError(
                f"line {token.line} of the Corefile has a closing brace without an opening one",
                "a closing brace on a line of its own",
            )
        if new_line:
            _refuse_elsewhere(token)
        elif _ELSEWHERE.search(token.text):
            raise _elsewhere(token, f"uses a variable: {token.text}")
    if depth:
        raise CorefileError(
            f"the block of {tokens[0].text} in line {tokens[0].line} is not closed",
            "a `}` for each `{`",
        )
    return tokens, []


def _refuse_elsewhere(token: Token) -> None:
    if token.text == "import":
        raise _elsewhere(token, "imports another file")
    if _ELSEWHERE.search(token.text):
        raise _elsewhere(token, f"uses a variable: {token.text}")


def _elsewhere(token: Token, how: str) -> EksnetError:
    return EksnetError(
        f"line {token.line} of the Corefile {how}",
        "a Corefile without imports and variables",
        "only the pods' logs show which configuration CoreDNS runs",
    )
