"""The hash of a Corefile that the plugin `reload` logs, and what else the log tells of it.

The hash is SHA-512 over the parsed Corefile as Go writes it in JSON. So whether a pod runs the text
of a ConfigMap can be told from its log alone, without asking it a question.

Source: plugin/reload/reload.go of CoreDNS 1.14.3 (parse).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eksnet.coredns.corefile import Corefile, read_corefile
from eksnet.coredns.editing import ZONE, change_command
from eksnet.coredns.logs import log_lines
from eksnet.errors import EksnetError

_LOGGED = re.compile(r"Running configuration SHA512 = ([0-9a-f]{128})")
_REFUSED = re.compile(r":(\d+) - (?:Error during parsing|Syntax error): (.+)")
# A plugin that refuses its own lines names no line: at a start, and at a reload.
_NOT_SET_UP = re.compile(r"^(?:\[ERROR\] Restart failed: |(?=plugin/\w+: ))(.+)")
_UNKNOWN = re.compile(r": Unknown directive '(.+)'$")
# plugin/loop ends CoreDNS with [FATAL]; the client of the API says "Failed to watch" and the like.
_ERROR = re.compile(r"^\[(?:ERROR|FATAL)\]|plugin/loop: Loop|Failed to ")
_FAILED, _PLUGIN = re.compile(r"Failed to \w+"), re.compile(r"plugin/\w+")
# Go's JSON writes these so that they can stand in HTML and JavaScript.
_ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def configuration_hash(corefile: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the SHA-512 that a CoreDNS logs when it runs this Corefile, in hex.

    Args:
        corefile: The Corefile.
        environment: The variables of CoreDNS's process; None when they are not known.

    Raises:
        CorefileError: CoreDNS would refuse it.
        EksnetError: It takes text from elsewhere, which cannot be seen here.
    """
    tree = read_corefile(corefile, environment)
    _refuse_elsewhere(tree)
    blocks = [
        {
            "Keys": list(block.keys),
            "Tokens": {
                name: [
                    {"File": "", "Line": token.line, "Text": token.text}
                    for plugin in block.uses(name)
                    for token in plugin.tokens
                ]
                for name in sorted(set(block.names))
            },
        }
        for block in tree.blocks
    ]
    text = json.dumps(blocks or None, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha512(text.translate(_ESCAPED).encode()).hexdigest()


def _refuse_elsewhere(tree: Corefile) -> None:
    if tree.imports:
        what = f"imports {', '.join(one.pattern for one in tree.imports)}"
        line = tree.imports[0].line
    elif tree.variables:
        what, line = f"uses the variable {', '.join(tree.variables)}", 0
    else:
        return
    raise EksnetError(
        f"{f'line {line} of ' if line else ''}the Corefile {what}, which cannot be seen here",
        "a Corefile without imports and variables",
        "only the pods' logs show which configuration CoreDNS runs",
    )


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
        EksnetError: As `configuration_hash` does; or the pods do not tell, without the plugin
            `reload`.
    """
    wanted = (configuration_hash(corefile),)
    blocks = read_corefile(corefile).blocks
    if not any("reload" in block.names for block in blocks):
        first = blocks[0].keys[0] if blocks and not blocks[0].serves(ZONE) else ZONE
        raise EksnetError(
            "the Corefile has no plugin reload, so the pods do not log which Corefile they run",
            "the plugin reload, as in the Corefile of EKS",
            f"add it: {change_command('add_plugin', 'reload', first)}",
        )
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
    return any(unknown[1] in block.names for block in read_corefile(corefile).blocks)


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
