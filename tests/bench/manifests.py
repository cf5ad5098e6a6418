"""How long lint of many Ingresses takes, by what PyYAML's parser in C takes to load the same files.

Each Ingress is another text, with 5 to 15 annotations and 2 to 8 paths. Both are measured in turn,
so that they see the same computer.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable

import yaml

from eksnet.loadbalancer.linting import lint_texts

COUNT, ROUNDS = 1000, 5
BY_LOAD, BY_HALF = 4.0, 2.2
ALB = "alb.ingress.kubernetes.io"
WORDS = ("shop", "api", "db", "cache", "web", "mail", "auth", "search", "cart", "user")
NOTES = (
    "scheme: internet-facing",
    "target-type: ip",
    "healthcheck-path: /{w}/health",
    'healthcheck-interval-seconds: "{n}"',
    "success-codes: 200-{m}",
    "tags: Team={w},Stage={v}{n}",
    "load-balancer-attributes: idle_timeout.timeout_seconds={m},routing.http2.enabled=true",
    "target-group-attributes: stickiness.enabled=true,deregistration_delay.timeout_seconds={n}",
    "listen-ports: '[{{\"HTTP\": 80}}, {{\"HTTPS\": 443}}]'",
    "certificate-arn: arn:aws:acm:ap-northeast-2:111122223333:certificate/{w}-{m}",
    'ssl-redirect: "443"',
    "inbound-cidrs: 10.{n}.0.0/16, 203.0.113.{n}/32",
    "subnets: subnet-{w}{n}, subnet-{v}{m}",
    "backend-protocol: HTTP",
    "conditions.{w}: '[{{\"field\": \"source-ip\","
    " \"sourceIpConfig\": {{\"values\": [\"10.{n}.0.0/16\"]}}}}]'",
)  # fmt: skip


def ingress(number: int) -> str:
    """Return an Ingress; another one for each number."""
    chosen = random.Random(number)
    words = [chosen.choice(WORDS) for _ in range(2)]
    known = {"w": words[0], "v": words[1], "n": number % 200 + 10, "m": chosen.randint(300, 390)}
    notes = chosen.sample(NOTES, chosen.randint(5, len(NOTES)))
    # A listener with TLS needs its certificate.
    notes += [NOTES[9]] * (NOTES[8] in notes and NOTES[9] not in notes)
    notes += [NOTES[8]] * (NOTES[10] in notes and NOTES[8] not in notes)
    notes += [NOTES[9]] * (NOTES[8] in notes and NOTES[9] not in notes)
    noted = "".join(f"    {ALB}/{note.format(**known)}\n" for note in notes)
    paths = "".join(
        f"          - path: /{name}/{place}\n            pathType: Prefix\n"
        f"            backend:\n              service:\n                name: {name}\n"
        f"                port:\n                  number: {80 + place}\n"
        for place, name in enumerate([words[0], *chosen.sample(WORDS, chosen.randint(1, 7))])
    )
    return (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n"
        f"  name: {words[1]}-{number}\n  namespace: team-{number % 50}\n  annotations:\n{noted}"
        f"spec:\n  ingressClassName: alb\n  rules:\n    - host: {words[0]}{number}.example\n"
        f"      http:\n        paths:\n{paths}"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how much of a processor something takes, in seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> int:
    texts = [(f"{number}.yaml", ingress(number)) for number in range(2 * COUNT)]
    assert len({text for _, text in texts}) == len(texts)
    assert not lint_texts(texts[:50]), lint_texts(texts[:50])
    half = texts[:COUNT]
    rows = []
    for _ in range(ROUNDS):
        load = seconds(lambda: [yaml.load(text, Loader=yaml.CSafeLoader) for _, text in half])
        rows.append((load, seconds(lambda: lint_texts(half)), seconds(lambda: lint_texts(texts))))
    for load, one, two in rows:
        print(f"load {load:.3f} s  lint {one:.3f} s  of twice as many {two:.3f} s")
    by_load = statistics.median(one / load for load, one, _ in rows)
    by_half = statistics.median(two / one for _, one, two in rows)
    print(f"lint of {COUNT} Ingresses / loading them: {by_load:.2f} (at most {BY_LOAD:g})")
    print(f"lint of {2 * COUNT} / of {COUNT}: {by_half:.2f} (at most {BY_HALF})")
    return int(by_load > BY_LOAD or by_half > BY_HALF)


if __name__ == "__main__":
    sys.exit(main())
