"""The rules for Corefiles: what each looks for, as data and short functions.

A new rule is a row of `RULES`, a section of docs/corefile-rules.md with its examples, and nothing
else: the tests walk both.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterator
from itertools import product

from eksnet.coredns import gotext
from eksnet.coredns.corefile import CorefileError, Import, Plugin, ServerBlock, Token
from eksnet.coredns.linting import ERROR, WARNING, Context, Finding, Found, Rule
from eksnet.coredns.plugins import second_use
from eksnet.coredns.releases import Release, option_since, plugin_since, plugins_of
from eksnet.coredns.rewriting import NameRule, cname_rule, name_rule
from eksnet.coredns.setups import SETUPS
from eksnet.coredns.uses import Fault, is_open
from eksnet.coredns.zones import split_transport, zones_as_written, zones_of

_GLUED = re.compile(r'^[^\n#"]*?[^\s#"{$%]\{[ \t\r]*(?:#.*)?$', re.MULTILINE)
_RENAMING = frozenset({"answer", "prefix", "suffix", "substring", "regex"})
_SAMPLE = "x"
# What every computer has; the addresses of its other interfaces cannot be seen.
_INTERFACES = {"lo": ("127.0.0.1", "::1")}
_PORTS = {"dns": "53", "tls": "853", "quic": "853", "grpc": "443", "https": "443", "https3": "443"}


# What CoreDNS's parser refuses.


def explain_unreadable(corefile: str, error: CorefileError) -> Finding:
    """Return the finding for what CoreDNS's parser refuses: a glued brace, or the rest."""
    if glued := _GLUED.search(corefile):
        line = corefile.count("\n", 0, glued.end()) + 1
        return Finding("brace-space", ERROR, line, *_glued(glued.group().split("#")[0].split()[-1]))
    fix = f"needed: {error.expected}" if error.expected else "see the rule's page"
    return Finding("syntax", ERROR, error.line, error.seen, fix)


def _glued(word: str) -> tuple[str, str]:
    return (
        f"{word!r} has no space before its brace, so the brace is a part of the word",
        f"write {word[:-1]!r} and a brace of its own: {word[:-1]} {{",
    )


def _glued_plugins(context: Context) -> Iterator[Found]:
    for plugin in context.unknown:
        if _is_glued(plugin.tokens[0]):
            yield (plugin.line, *_glued(plugin.tokens[0].text))


def _glued_keys(context: Context) -> Iterator[Found]:
    """What is a key that ends with a brace to CoreDNS; another brace may close its block."""
    for block in context.tree.blocks:
        for token in block.key_tokens:
            if _is_glued(token):
                yield (token.line, *_glued(token.text))


def _is_glued(token: Token) -> bool:
    return token.text.endswith("{") and len(token.text) > 1 and not is_open(token.text)


def _bad_keys(context: Context) -> Iterator[Found]:
    for block in context.tree.blocks:
        for key, token in zip(block.keys, block.key_tokens, strict=False):
            if not is_open(key) and not zones_of(key):
                yield token.line, f"{key!r} is no zone", "a zone and a port, such as example.org:53"


# What the set-ups of plugins refuse.


def _of_kind(*kinds: str) -> Callable[[Context], Iterator[tuple[str, Token, Fault]]]:
    return lambda context: (one for one in context.faults if one[2].kind in kinds)


def _written(release: Release) -> str:
    return ".".join(map(str, release))


def _unknown_plugins(context: Context) -> Iterator[Found]:
    for plugin in context.unknown:
        name = plugin.name
        if is_open(name) or _is_glued(plugin.tokens[0]):
            continue
        since = plugin_since(name)
        fix = f"CoreDNS {_written(since)} or later" if since else _meant(name, context.release)
        yield plugin.line, _unknown_plugin(name, context), fix


def _unknown_plugin(name: str, context: Context) -> str:
    return f"CoreDNS {_written(context.release)} has no plugin {name!r}"


def _meant(name: str, release: Release) -> str:
    near = difflib.get_close_matches(name, sorted(plugins_of(release)), 1)
    return f"did you mean {near[0]!r}?" if near else "`coredns -plugins` lists those that it has"


def _unknown_options(context: Context) -> Iterator[Found]:
    for plugin, token, fault in _of_kind("option")(context):
        since = option_since(plugin, fault.about)
        options = frozenset((SETUPS[plugin].options or {}).keys() - {""})
        fix = f"CoreDNS {_written(since)} or later" if since else _near(fault.about, options)
        yield token.line, f"{fault.seen} in CoreDNS {_written(context.release)}", fix


def _near(option: str, options: frozenset[str]) -> str:
    near = difflib.get_close_matches(option, sorted(options), 1)
    return f"did you mean {near[0]!r}?" if near else f"one of {', '.join(sorted(options))}"


def _refused_words(context: Context) -> Iterator[Found]:
    for plugin, token, fault in _of_kind("words")(context):
        yield token.line, fault.seen, f"{plugin} takes {fault.expected}"


def _late_entries(context: Context) -> Iterator[Found]:
    for _, token, fault in _of_kind("late")(context):
        yield token.line, fault.seen, "move the line above fallthrough: CoreDNS takes none below it"


def _second_hosts(context: Context) -> Iterator[Found]:
    for plugin, token, _ in _of_kind("twice")(context):
        if plugin == "hosts":
            yield token.line, _twice("hosts"), "put all entries into one hosts block"


def _second_uses(context: Context) -> Iterator[Found]:
    for plugin, token, _ in _of_kind("twice")(context):
        if plugin != "hosts":
            yield token.line, _twice(plugin), f"keep one {plugin}; all its lines fit into one block"


def _twice(plugin: str) -> str:
    return f"{plugin} is used a second time in a server block, or its brace is on the next line"


def _lost_uses(context: Context) -> Iterator[Found]:
    for block in context.tree.blocks:
        for name, uses in block.by_name.items():
            if len(uses) < 2:
                continue
            what = second_use(name)
            if what in ("ignored", "replaces"):
                lost = "the second one is ignored" if what == "ignored" else "the first one is lost"
                yield uses[1].line, f"{name} is used twice in a server block: {lost}", "keep one"


def _same_addresses(context: Context) -> Iterator[Found]:
    """Source: core/dnsserver/register.go (validateZonesAndListeningAddresses), address.go."""
    seen: dict[tuple[str, str, str], dict[str, ServerBlock]] = {}
    for block in context.tree.blocks:
        # A file may tell them apart, and so may a variable.
        if block.imports or any(map(is_open, block.keys)):
            continue
        for key, host in product(_addresses(block), _hosts(block)):
            taken = seen.setdefault(key, {})
            overlap = host not in taken and taken and (not host or "" in taken)
            has_view = bool(block.uses("view"))
            if overlap or (host in taken and not has_view):
                line = block.key_tokens[0].line if block.key_tokens else 1
                yield line, _same_address(key, host, taken.get(host) is block), _APART
            elif not has_view:
                taken[host] = block


_APART = "give each zone, port and address to one server block, once"


def _same_address(key: tuple[str, str, str], host: str, same: bool) -> str:
    transport, zone, port = key
    who = "a server block serves" if same else "two server blocks serve"
    on = f" on {host}" if host else ""
    return f"{who} {transport}://{zone}:{port}{on}{' twice' if same else ''}"


def _addresses(block: ServerBlock) -> tuple[tuple[str, str, str], ...]:
    return _addresses_of(block.keys)


@functools.lru_cache(4096)
def _addresses_of(keys: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """Return the transport, zone and port of each key."""
    found = []
    for key in keys:
        transport, rest = split_transport(key)
        number = gotext.integer(rest.rpartition(":")[2]) if ":" in rest else None
        port = _PORTS.get(transport, "") if number is None else str(number)
        found += [(transport, zone, port) for zone in zones_as_written(key)]
    return tuple(found)


def _hosts(block: ServerBlock) -> list[str]:
    """Return the addresses that a server block listens on; an empty one for all."""
    found: list[str] = []
    for plugin in block.uses("bind"):
        lines = plugin.lines
        kept_out = {word for line in lines[1:] if line[0] == "except" for word in line[1:]}
        named = [one for word in lines[0][1:] for one in _INTERFACES.get(word, (word,))]
        found += [one for one in named if one not in kept_out]
    return found or [""]


def _ports(context: Context) -> Iterator[Found]:
    for block in context.tree.blocks:
        for _, zone, port in _addresses(block):
            number = gotext.integer(port)
            if number is not None and not 0 <= number <= 65535:
                yield block.key_tokens[0].line, f"{zone} has the port {port}", "a port up to 65535"


def _not_mounted(context: Context) -> Iterator[Found]:
    for _, token, fault in _of_kind("file")(context):
        yield token.line, f"{fault.seen}, which is not in the pod", _mount(fault.about)
    for one in context.tree.imports:
        if not _has_wildcard(one) and not _is_there(one, context):
            seen = f"imports {one.pattern}, which is not in the pod"
            yield one.line, seen, _mount(one.pattern)


def _mount(path: str) -> str:
    return f"mount it into the Deployment's pods, and name it: --mounted {path}"


def _has_wildcard(one: Import) -> bool:
    return bool(set(one.pattern) & set("*?[]"))


def _is_there(one: Import, context: Context) -> bool:
    if is_open(one.pattern):
        return True
    beside = f"/etc/coredns/{one.pattern}"
    return one.pattern in context.files or beside in context.files


def _empty_imports(context: Context) -> Iterator[Found]:
    for one in context.tree.imports:
        if _has_wildcard(one) and not _is_there(one, context):
            seen = f"imports {one.pattern}, and nothing of that name is in the pod"
            yield one.line, seen, _mount(one.pattern)


def _unset_variables(context: Context) -> Iterator[Found]:
    for name in context.tree.variables:
        seen = f"the value of {name} is not known here; where it is not set, it is empty"
        yield 0, seen, f"set it in the Deployment's pods, and say so: --env {name}=VALUE"


def _no_blocks(context: Context) -> Iterator[Found]:
    if not context.tree.blocks and not context.tree.imports:
        yield 0, "it has no server block: CoreDNS would answer no question", "write one: .:53 { … }"


# What CoreDNS takes, and what goes wrong with it.


def _uses(context: Context, name: str) -> Iterator[tuple[ServerBlock, Plugin]]:
    for block in context.tree.blocks:
        for plugin in block.uses(name):
            yield block, plugin


def _hosts_without_fallthrough(context: Context) -> Iterator[Found]:
    for block, plugin in _uses(context, "hosts"):
        lines = plugin.lines
        zones = [zone for one in lines[0][2:] for zone in zones_of(one)]
        served = [zone for key in block.keys for zone in zones_of(key)]
        narrower = zones and not set(zones) & {".", *served}
        if not narrower and all(line[0] != "fallthrough" for line in lines[1:]):
            yield (
                plugin.line,
                "hosts has no fallthrough: every name that it does not know gets SERVFAIL",
                "write fallthrough as the last line of the block",
            )


def _serves_root(block: ServerBlock) -> bool:
    return any(zone == "." and transport == "dns" for transport, zone, _ in _addresses(block))


def _no_ready(context: Context) -> Iterator[Found]:
    tree = context.tree
    if tree.blocks and not tree.imports and not any(b.uses("ready") for b in tree.blocks):
        yield (
            0,
            "no server block has ready: the readiness probe of the pods fails",
            "add the line ready to the server block .:53",
        )


def _no_loop(context: Context) -> Iterator[Found]:
    for block in context.tree.blocks:
        forwards = block.uses("forward")
        if forwards and _serves_root(block) and not block.imports and not block.uses("loop"):
            yield (
                forwards[0].line,
                "the server block forwards questions and has no loop: a loop is not noticed",
                "add the line loop",
            )


def _rewrite_words(plugin: Plugin) -> list[str]:
    """Return the words of a rule, of its line or of its block."""
    words = [token.text for token in plugin.tokens[1:]]
    return [word for word in words if word not in ("{", "}")]


def _wrong_answers(context: Context) -> Iterator[Found]:
    for _, plugin in _uses(context, "rewrite"):
        words = _rewrite_words(plugin)
        # Without these the answer gets the question's name back.
        rule = name_rule(words) if not _RENAMING.isdisjoint(map(str.lower, words)) else None
        if rule and (seen := _answer_fault(rule)):
            yield plugin.line, seen, _answer_fix(rule)


def _answer_fix(rule: NameRule) -> str:
    if rule.match == "exact":
        return (
            f"answer name {re.escape(rule.renamed)} {rule.asked}, or no answer rule: exact has one"
        )
    return "write answer auto at the end of the rule, which gives the question's name back"


def _answer_fault(rule: NameRule) -> str:
    names = [one for one in rule.answers if one.kind == "name"]
    if not names:
        if rule.is_auto:
            return ""
        return "the answer keeps the new name, and clients drop an answer to another question"
    before, after = _sample(rule)
    for one in names:
        given = _renamed(one.pattern, one.replacement, after)
        if given is None:
            return f"no answer is renamed: {one.pattern!r} does not match {after}"
        if before and given != before:
            return f"the answer to {before} comes back as {given}"
    return ""


def _sample(rule: NameRule) -> tuple[str, str]:
    """Return a name that a rule matches, empty where none is at hand, and what it becomes."""
    if rule.match == "exact":
        return rule.asked, rule.renamed
    if rule.match == "prefix":
        return f"{rule.asked}{_SAMPLE}.", f"{rule.renamed}{_SAMPLE}."
    if rule.match in ("suffix", "substring"):
        lead = "" if rule.asked.startswith(".") else "."
        return f"{_SAMPLE}{lead}{rule.asked}", f"{_SAMPLE}{lead}{rule.renamed}"
    return "", re.sub(r"\{\d+\}", _SAMPLE, rule.renamed)


def _renamed(pattern: str, replacement: str, name: str) -> str | None:
    """Return what an expression makes of a name; None where it does not match.

    Source: name.go, regexStringRewriter.
    """
    try:
        found = re.search(pattern, name)
    except re.error:
        return name
    if not found:
        return None
    for number, group in enumerate((found.group(), *found.groups())):
        replacement = replacement.replace(f"{{{number}}}", group or "")
    return replacement


def _cnames_without_dot(context: Context) -> Iterator[Found]:
    for _, plugin in _uses(context, "rewrite"):
        words = _rewrite_words(plugin)
        rule = cname_rule(words) if "cname" in map(str.lower, words) else None
        if not rule:
            continue
        match, before, after = rule
        if match in ("exact", "suffix") and not before.endswith("."):
            yield (
                plugin.line,
                f"no answer points to {before!r}: targets end with a dot",
                f"write {before}. with its dot",
            )
        elif match in ("exact", "suffix") and not after.endswith("."):
            yield (
                plugin.line,
                f"the new target {after!r} is no full name, and cannot be looked up",
                f"write {after}. with its dot",
            )


def _forwards_to_itself(context: Context) -> Iterator[Found]:
    for block, plugin in _uses(context, "forward"):
        for server in plugin.lines[0][2:]:
            host, port = _server(server)
            if _is_own(host, context) and _listens_at(block, host, port, context):
                yield (
                    plugin.line,
                    f"forward asks {server}, which is this CoreDNS: each question comes back",
                    "forward to the resolver of the node: /etc/resolv.conf",
                )


def _is_own(host: str, context: Context) -> bool:
    if host in context.own:
        return True
    address = gotext.address(host) if host.startswith(("127.", "::1", "0:", "0000:")) else None
    return address is not None and address.is_loopback


def _listens_at(block: ServerBlock, host: str, port: str, context: Context) -> bool:
    ports = {port for transport, _, port in _addresses(block) if transport == "dns"}
    bound = [one for one in _hosts(block) if one]
    return port in ports and (not bound or host in bound or host in context.own)


def _server(word: str) -> tuple[str, str]:
    transport, rest = split_transport(word)
    if transport != "dns":
        return "", ""
    found = gotext.host_port(rest)
    return found if found else (rest.strip("[]"), "53")


def _autopath_without_pods(context: Context) -> Iterator[Found]:
    for block, plugin in _uses(context, "autopath"):
        if plugin.lines[0][-1] != "@kubernetes":
            continue
        options = [line for one in block.uses("kubernetes") for line in one.lines[1:]]
        if ("pods", "verified") not in options:
            yield (
                plugin.line,
                "autopath @kubernetes does nothing: kubernetes does not watch the pods",
                "write pods verified into the block of kubernetes",
            )


RULES: tuple[Rule, ...] = (
    Rule("syntax", ERROR, "the parser refuses it", _bad_keys),
    Rule("brace-space", ERROR, "no space before a plugin's brace", _glued_plugins),
    Rule("brace-space", WARNING, "no space before a server block's brace", _glued_keys),
    Rule("unknown-plugin", ERROR, "a plugin that the release does not have", _unknown_plugins),
    Rule("unknown-option", ERROR, "an option that the release does not have", _unknown_options),
    Rule("plugin-words", ERROR, "words that a plugin does not take", _refused_words),
    Rule("entry-after-fallthrough", ERROR, "an entry of hosts after fallthrough", _late_entries),
    Rule("second-hosts", ERROR, "a second hosts block", _second_hosts),
    Rule("second-use", ERROR, "a second use that is refused", _second_uses),
    Rule("same-address", ERROR, "two server blocks for one zone and port", _same_addresses),
    Rule("port", ERROR, "a port that does not exist", _ports),
    Rule("not-mounted", ERROR, "a file that is not in the pod", _not_mounted),
    Rule("empty-import", WARNING, "an import that brings nothing", _empty_imports),
    Rule("unset-variable", WARNING, "a variable whose value is not known", _unset_variables),
    Rule("no-server-block", WARNING, "no server block", _no_blocks),
    Rule("lost-use", WARNING, "a second use that has no effect", _lost_uses),
    Rule("hosts-fallthrough", WARNING, "hosts without fallthrough", _hosts_without_fallthrough),
    Rule("no-ready", WARNING, "no ready", _no_ready),
    Rule("no-loop", WARNING, "forward without loop", _no_loop),
    Rule("rewrite-answer", WARNING, "a rewrite whose answer has another name", _wrong_answers),
    Rule("cname-dot", WARNING, "a cname rule without a final dot", _cnames_without_dot),
    Rule("forward-self", WARNING, "forward to itself", _forwards_to_itself),
    Rule("autopath-pods", WARNING, "autopath without pods verified", _autopath_without_pods),
)
