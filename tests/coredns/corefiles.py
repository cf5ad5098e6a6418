"""Corefiles that a grammar writes: of twenty and more kinds, right and wrong, the same for a seed.

The grammar knows what may stand where, and what people write there by mistake. It does not know
which of it CoreDNS takes: CoreDNS is asked.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

with (Path(__file__).parent / "grammar.toml").open("rb") as _file:
    PLUGINS = {
        name: (options.pop("line"), options) for name, options in tomllib.load(_file).items()
    }
VALUES = {
    "net": ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8", "10.1.2.3/8"],
    "badnet": ["10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/-1", "010.0.0.0/8", "fe80::1%lo/64"],
    "badtype": ["a", "NOPE", "A,AAAA"],
    "duration": ["5s", "1m30s", "0", "500ms", "1.5h", "+5s", ".5s", "1h0m"],
    "badduration": ["5", "s", "5 s", "1d", "", "5s5", "--5s"],
    "int": ["1", "5000", "+5", "0"],
}
_VALUE = re.compile(rf"<({'|'.join(VALUES)})>")
# Once each, so that a usual block is a usual one.
USUAL = (
    "errors",
    "health",
    "ready",
    "kubernetes",
    "prometheus",
    "forward",
    "cache",
    "loop",
    "reload",
    "loadbalance",
    "log",
    "hosts",
    "rewrite",
    "template",
)
NEED = {"secondary": "transfer", "timeouts": "read", "transfer": "to", "header": "response"}
KEYS = (
    ".",
    ".:53",
    ".:1053",
    "example.org",
    "example.org:5353",
    "a.test",
    "b.test.:53",
    "C.Test",
    "10.0.0.0/24",
    "10.0.0.0/23",
    "fd00::/16",
    "dns://x.test",
    "tls://y.test",
    "grpc://z.test",
    "https://w.test:8443",
    "in-addr.arpa",
    "quic://q.test",
)
BAD_KEYS = (
    "a..b",
    ".a",
    "a:",
    "x" * 64,
    ".:70000",
    "a b,",
    "::",
    '""',
    "example.org:-1",
    "a:b",
    "dns://",
    "ftp://a.test",
    "*.test",
    "a_b",
    "a/b",
    "10.0.0.0/33",
    "\\",
    "a\\.b",
)
ENVIRONMENT = {
    "PORT": "53",
    "ZONE": "env.test",
    "TTL": "30",
    "EMPTY": "",
    "UPSTREAM": "10.0.0.2",
    "BAD": "nonsense",
    "TWO": "a b",
    "BRACE": "{",
}


@dataclass
class Written:
    """A Corefile of the grammar.

    Attributes:
        seed: The seed.
        kinds: What kinds it is of.
        text: The text.
        environment: The variables of CoreDNS's process.
    """

    seed: int
    kinds: set[str]
    text: str
    environment: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))


class Grammar:
    """Writes one Corefile."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.kinds: set[str] = set()
        # Most mistakes are alone in a file.
        self.bad = self.random.choice((0.0, 0.0, 0.0, 0.0, 0.02, 0.1))

    def write(self) -> Written:
        chosen = self.random.sample(sorted(KINDS), self.random.choice((1, 1, 1, 2)))
        blocks = [self.block() for _ in range(self.random.choice((1, 1, 1, 2)))]
        for name in chosen:
            blocks = KINDS[name](self, blocks)
            self.kinds.add(name)
        text = "".join(blocks)
        for name in chosen:
            text = ENDINGS.get(name, lambda _, text: text)(self, text)
        return Written(self.seed, self.kinds, text)

    def pick(self, alternatives: str) -> str:
        """Return one of the alternatives, seldom one that people write by mistake."""
        good, _, bad = f" {alternatives} ".partition(" || ")
        wrong = bad and self.random.random() < self.bad
        words = self.random.choice(f" {bad if wrong else good} ".split(" | ")).strip()
        return _VALUE.sub(lambda found: self.random.choice(VALUES[found[1]]), words)

    def key(self) -> str:
        return self.random.choice(BAD_KEYS if self.random.random() < self.bad / 2 else KEYS)

    def block(self, key: str = "", plugins: tuple[str, ...] = ()) -> str:
        count = self.random.randint(1, 7)
        names = plugins or tuple(self.random.sample(USUAL, count))
        body = "".join(map(self.plugin, names))
        return f"{key or self.key()} {{\n{body}}}\n"

    def plugin(self, name: str, *, options: int | None = None) -> str:
        line, known = PLUGINS[name]
        words = f"    {name} {self.pick(line)}".rstrip()
        count = self.random.choice((0, 0, 1, 2, 3)) if options is None else options
        chosen = self.random.sample(sorted(known), min(count, len(known)))
        if (
            NEED.get(name, "") in known
            and NEED[name] not in chosen
            and self.random.random() > self.bad
        ):
            chosen.append(NEED[name])
        if name == "hosts" and self.random.random() < 0.8:
            chosen.append("fallthrough")
            if self.random.random() < self.bad:
                self.random.shuffle(chosen)
        if not chosen:
            return f"{words}\n"
        inside = "".join(
            f"        {option} {self.pick(known.get(option, '| example.org'))}".rstrip() + "\n"
            for option in chosen
        )
        return f"{words} {{\n{inside}    }}\n"


def _of_plugins(*names: str) -> Callable[[Grammar, list[str]], list[str]]:
    def write(grammar: Grammar, blocks: list[str]) -> list[str]:
        grammar.bad = max(grammar.bad, grammar.random.choice((0.0, 0.0, 0.15)))
        name = grammar.random.choice(names)
        options = grammar.random.randint(0, 4)
        body = grammar.plugin(name, options=options)
        return [*blocks, f"own{len(blocks)}.test {{\n{body}}}\n"]

    return write


def snippets(grammar: Grammar, blocks: list[str]) -> list[str]:
    inside = "".join(grammar.plugin(one) for one in grammar.random.sample(USUAL, 2))
    name = grammar.random.choice(("s", "common", "a b"))
    quoted = f'"{name}"' if " " in name else name
    used = quoted if grammar.random.random() > 0.15 else "missing"
    head = f'"({name})"' if " " in name else f"({name})"
    return [f"{head} {{\n{inside}}}\n", *blocks, f"snip.test {{\n    import {used}\n}}\n"]


def nested_snippets(grammar: Grammar, blocks: list[str]) -> list[str]:
    inner, middle = grammar.plugin("log"), grammar.plugin(grammar.random.choice(USUAL))
    target = grammar.random.choice(("inner", "inner", "inner", "outer"))
    return [
        f"(inner) {{\n{inner}}}\n(outer) {{\n    import {target}\n{middle}}}\n",
        *blocks,
        "nest.test {\n    import outer\n    import inner\n}\n",
    ]


def imports(grammar: Grammar, blocks: list[str]) -> list[str]:
    path = grammar.random.choice(
        (
            *["custom/*.override", "*.conf", "/etc/coredns/custom/*.server", "?.conf"] * 4,
            "missing.conf",
            "a*b*c",
            "[ab].conf",
            "a[",
            "",
            "a b",
        )
    )
    return [*blocks, f"imp.test {{\n    import {path}\n    whoami\n}}\n"]


def variables(grammar: Grammar, blocks: list[str]) -> list[str]:
    name = grammar.random.choice((*ENVIRONMENT, "UNSET"))
    use = grammar.random.choice((f"{{${name}}}", f"{{%{name}%}}", f"x{{${name}}}", f"{{${name}"))
    line = grammar.random.choice(
        (
            "cache {}",
            "log {}",
            "forward . {}",
            "{} 30",
            "health :{}",
            "hosts {{\n 10.0.0.1 {}\n}}",
            "whoami {}",
        )
    )
    key = grammar.random.choice(("var.test", "var.test:{}", "{}"))
    return [*blocks, f"{key.replace('{}', use)} {{\n    {line.format(use)}\n}}\n"]


def many_blocks(grammar: Grammar, blocks: list[str]) -> list[str]:
    keys = (*KEYS, *(f"many{number}.test" for number in range(40)))
    return [grammar.block(key) for key in grammar.random.sample(keys, grammar.random.randint(3, 9))]


def several_keys(grammar: Grammar, blocks: list[str]) -> list[str]:
    keys = grammar.random.sample(
        (*KEYS, *grammar.random.sample(BAD_KEYS, 2)), grammar.random.randint(2, 4)
    )
    between = grammar.random.choice((" ", ", ", ",\n", " ", ","))
    end = grammar.random.choice(("", "", "", "", "", ","))
    return [*blocks, f"{between.join(keys)}{end} {{\n    whoami\n}}\n"]


def reverse_zones(grammar: Grammar, blocks: list[str]) -> list[str]:
    zone = grammar.random.choice(
        (
            "10.0.0.0/8",
            "10.0.0.0/22",
            "10.0.0.0/30",
            "fd00::/60",
            "fd00::/62",
            "10.0.0.0/0",
            "0::/8",
            "10.0.0.0/33:53",
        )
    )
    other = grammar.random.choice(
        ("1.0.10.in-addr.arpa", "10.in-addr.arpa", "x.test", "0.10.in-addr.arpa")
    )
    return [*blocks, f"{zone} {{\n    whoami\n}}\n{other} {{\n    chaos\n}}\n"]


def binds(grammar: Grammar, blocks: list[str]) -> list[str]:
    grammar.bad = max(grammar.bad, 0.05)
    first, second = grammar.pick(PLUGINS["bind"][0]), grammar.pick(PLUGINS["bind"][0])
    key = grammar.random.choice(("bind.test", "other.test"))
    again = (
        f"    bind {grammar.pick(PLUGINS['bind'][0])}\n" if grammar.random.random() < 0.3 else ""
    )
    none = "" if grammar.random.random() < 0.2 else f"    bind {second}\n"
    return [
        *blocks,
        f"bind.test {{\n    bind {first}\n{again}    whoami\n}}\n{key} {{\n{none}    chaos\n}}\n",
    ]


def views(grammar: Grammar, blocks: list[str]) -> list[str]:
    uses = ["    view one {\n        expr true\n    }\n"] * grammar.random.choice((0, 1, 1, 1, 2))
    first = "".join(uses[:1]) if grammar.random.random() < 0.7 else ""
    return [
        *blocks,
        f"view.test {{\n{''.join(uses)}    whoami\n}}\nview.test {{\n{first}    chaos\n}}\n",
    ]


def second_uses(grammar: Grammar, blocks: list[str]) -> list[str]:
    name = grammar.random.choice(sorted(PLUGINS.keys() - {"view", "tls"}))
    first, second = grammar.plugin(name), grammar.plugin(name)
    return [*blocks, f"twice.test {{\n{first}    chaos\n{second}}}\n"]


def same_addresses(grammar: Grammar, blocks: list[str]) -> list[str]:
    pair = grammar.random.choice(
        (
            (".:53", "."),
            ("A.test", "a.test."),
            ("dns://a.test", "a.test:53"),
            ("tls://a.test", "a.test"),
            ("a.test:53", "a.test:1053"),
            ("a.test a.test", "b.test"),
            ("a.test:053", "a.test"),
            ("a.test", "b.a.test"),
            ("a.test:1", "A.test:2"),
            ("a.test b.test:1", "b.test a.test:1"),
        )
    )
    return [f"{pair[0]} {{\n    whoami\n}}\n{pair[1]} {{\n    chaos\n}}\n"]


def misspelt_plugins(grammar: Grammar, blocks: list[str]) -> list[str]:
    name = grammar.random.choice(
        ("cahce", "Cache", "hosts{", "errors,", *["log", "whoami", "any"] * 2)
    )
    return [*blocks, f"miss.test {{\n    {name}\n}}\n"]


def misspelt_options(grammar: Grammar, blocks: list[str]) -> list[str]:
    name = grammar.random.choice(
        ("hosts", "file", "kubernetes", "k8s_external", "template", "ready", *PLUGINS)
    )
    line = grammar.pick(PLUGINS[name][0])
    option = grammar.random.choice(
        ("nonsense", "Fallthrough", *["fallthrough", "ttl 5", "reload 5s", "upstream"] * 2)
    )
    return [*blocks, f"opt.test {{\n    {name} {line} {{\n        {option}\n    }}\n}}\n"]


def braces(grammar: Grammar, blocks: list[str]) -> list[str]:
    body = grammar.random.choice(
        (
            "hosts {\n 10.0.0.1 a\n fallthrough\n",
            "hosts{\n 10.0.0.1 a\n}\n",
            "hosts\n{\n 10.0.0.1 a\n}\n",
            "whoami }\n",
            "log {\n}\n",
            "log { class error\n}\n",
            "log {\n class error }\n",
            "health { lameduck 5s\n}\n",
            "cache 30 {}\n",
            "log { }\n",
            "log {\n {\n }\n}\n",
            "errors { stacktrace\n}\n",
        )
    )
    opening = grammar.random.choice((" {\n", " {\n", " {\n", "{\n", "\n{\n", " { "))
    closing = grammar.random.choice(("}\n", "}\n", "}\n", "", "}}\n", "} # end\n"))
    return [*blocks, f"brace.test{opening}{body}{closing}"]


def no_braces(grammar: Grammar, blocks: list[str]) -> list[str]:
    body = "".join(grammar.plugin(one, options=0) for one in grammar.random.sample(USUAL, 3))
    return [f"bare.test\n{body}"]


def quotes(grammar: Grammar, blocks: list[str]) -> list[str]:
    line = grammar.random.choice(
        (
            'log "a b" c',
            'log "a\nb"',
            'log "a\\"b"',
            'log "a',
            'log a"b',
            '"log" a',
            'log ""',
            "log 'a b'",
            'template IN A {\n match "a\nb"\n answer "x"\n}',
            '"cache" "30"',
            'log "{"',
            'log "}"',
            '"hosts" "{"\n"10.0.0.1" a\n"}"',
        )
    )
    return [*blocks, f"quote.test {{\n    {line}\n}}\n"]


def comments(grammar: Grammar, blocks: list[str]) -> list[str]:
    marks = (
        "# a comment\n",
        "#}\n",
        "# {\n",
        "   #\n",
        "whoami # trailing\n",
        "whoami# not\n",
        "log a#b\n",
        "#\n\n\n",
    )
    return [
        *blocks,
        f"# first\nnote.test {{ # open\n{grammar.random.choice(marks)}    chaos\n}} # end\n",
    ]


def endings(ending: str) -> Callable[[Grammar, str], str]:
    return lambda _, text: text.replace("\n", ending)


def as_it_is(_: Grammar, blocks: list[str]) -> list[str]:
    return blocks


def spaces(grammar: Grammar, text: str) -> str:
    return text.replace("    ", grammar.random.choice(("\t", " ", "\u00a0", "\u2003", "\t \t")))


def cut(grammar: Grammar, text: str) -> str:
    ends = [place + 1 for place, one in enumerate(text) if one == "\n"]
    return text[: grammar.random.choice((*ends, grammar.random.randrange(len(text) + 1)))]


def odd(grammar: Grammar, text: str) -> str:
    place = grammar.random.choice((0, len(text), grammar.random.randrange(len(text) + 1)))
    mark = grammar.random.choice(
        ("é", "\u2028", "\x00", "\x1f", "{", "}", '"', "\\", "\r", "日本", "# ", "\t")
    )
    return text[:place] + mark + text[place:]


KINDS: dict[str, Callable[[Grammar, list[str]], list[str]]] = {
    "snippets": snippets,
    "nested snippets": nested_snippets,
    "imports": imports,
    "variables": variables,
    "many server blocks": many_blocks,
    "several keys": several_keys,
    "reverse zones": reverse_zones,
    "bind": binds,
    "views": views,
    "second uses": second_uses,
    "same addresses": same_addresses,
    "misspelt plugins": misspelt_plugins,
    "misspelt options": misspelt_options,
    "braces": braces,
    "no braces": no_braces,
    "quotes": quotes,
    "comments": comments,
    "hosts": _of_plugins("hosts"),
    "rewrite": _of_plugins("rewrite"),
    "kubernetes": _of_plugins("kubernetes"),
    "forward": _of_plugins("forward", "grpc"),
    "cache": _of_plugins("cache"),
    "templates": _of_plugins("template"),
    "other plugins": _of_plugins(*sorted(PLUGINS)),
    "CRLF": as_it_is,
    "CR alone": as_it_is,
    "byte order mark": as_it_is,
    "other blanks": as_it_is,
    "cut off": as_it_is,
    "odd characters": as_it_is,
}
ENDINGS: dict[str, Callable[[Grammar, str], str]] = {
    "CRLF": endings("\r\n"),
    "CR alone": endings("\r"),
    "byte order mark": lambda _, text: f"\ufeff{text}",
    "other blanks": spaces,
    "cut off": cut,
    "odd characters": odd,
}


def written(seed: int) -> Written:
    """Return the Corefile of a seed."""
    return Grammar(seed).write()
