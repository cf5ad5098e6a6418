"""How long lint of many Corefiles takes, by `str.split` of the same texts.

Each Corefile is another text, of 20 to 60 lines: server blocks as people write them, with other
names, addresses and numbers in each. Both are measured in turn, so that they see the same computer.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from eksnet.coredns.linting import lint

COUNT, ROUNDS = 1000, 5
BY_SPLIT, BY_HALF = 60.0, 2.2
LINES = range(20, 61)
WORDS = ("shop", "api", "db", "cache", "web", "mail", "auth", "search", "cart", "user")
EKS = """\
.:53 {{
    errors
    health {{
        lameduck {n}s
    }}
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    prometheus :9153
    forward . /etc/resolv.conf
    cache {m}
    loop
    reload
    loadbalance
"""
PARTS = (
    "    # {w} moved here on a Friday; ask team {v} before you change it\n",
    "    hosts {{\n        10.{n}.{m}.1 {w}.{v}.local {w}{n}.local\n"
    "        10.{n}.{m}.2 {v}.local\n        fallthrough\n    }}\n",
    "    rewrite name exact {w}.{v}.example {v}{n}.{w}.svc.cluster.local\n",
    "    template IN A {w}{n}.example {{\n"
    '        answer "{{{{ .Name }}}} {m} IN A 10.{n}.{m}.9"\n    }}\n',
    "    log {w}{n}.example {{\n        class denial error\n    }}\n",
)  # fmt: skip
STUB = """\
{w}{n}.{v}.internal:53 {{
    errors
    cache {m}
    forward . 10.{n}.{m}.2 10.{n}.{m}.3 {{
        max_concurrent 1000
        policy sequential
    }}
}}
"""


def corefile(number: int) -> str:
    """Return a Corefile; another one for each number."""
    chosen = random.Random(number)

    def filled(text: str) -> str:
        words = chosen.choice(WORDS), chosen.choice(WORDS)
        return text.format(w=words[0], v=words[1], n=number % 250 + 1, m=chosen.randint(5, 250))

    lines = chosen.randint(LINES.start, LINES.stop - 7)
    parts = [filled(EKS)]
    hosts = False
    while "".join(parts).count("\n") < lines - 1:
        part = chosen.choice(PARTS)
        if "hosts" not in part or not hosts:
            parts.append(filled(part))
        hosts = hosts or "hosts" in part
    text = f"{''.join(parts)}}}\n"
    return text + filled(STUB) if text.count("\n") + STUB.count("\n") in LINES else text


def seconds(work: Callable[[str], object], texts: Sequence[str]) -> float:
    """Return how much of a processor it takes to do something with each text, in seconds."""
    began = time.process_time()
    for text in texts:
        work(text)
    return time.process_time() - began


def main() -> int:
    texts = [corefile(number) for number in range(2 * COUNT)]
    assert len(set(texts)) == len(texts)
    assert {text.count("\n") in LINES for text in texts} == {True}
    assert sum(len(lint(text)) for text in texts[:50]) < 25, "these Corefiles are to be sound"
    rows = []
    for _ in range(ROUNDS):
        rows.append(
            (seconds(str.split, texts[:COUNT]), seconds(lint, texts[:COUNT]), seconds(lint, texts))
        )
    for split, one, two in rows:
        print(f"str.split {split * 1000:.1f} ms  lint {one:.3f} s  of twice as many {two:.3f} s")
    by_split = statistics.median(one / split for split, one, _ in rows)
    by_half = statistics.median(two / one for _, one, two in rows)
    print(f"lint of {COUNT} Corefiles / str.split: {by_split:.1f} (at most {BY_SPLIT:g})")
    print(f"lint of {2 * COUNT} / of {COUNT}: {by_half:.2f} (at most {BY_HALF})")
    return int(by_split > BY_SPLIT or by_half > BY_HALF)


if __name__ == "__main__":
    sys.exit(main())
