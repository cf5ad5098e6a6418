"""Lint and the real CoreDNS agree on what would start: Corefiles that a grammar writes."""

from __future__ import annotations

import collections
import secrets
from collections.abc import Iterable

import pytest
from corefiles import KINDS, Written, written
from judging import FILES, Judge

from eksnet.coredns.linting import is_refused, lint

SAMPLE = 800


def compare(judge: Judge, seeds: Iterable[int]) -> list[tuple[Written, str]]:
    """Return each Corefile with CoreDNS's word on it; lint has to say the same of all."""
    compared, differ = [], []
    for seed in seeds:
        one = written(seed)
        said = judge(one.text, one.environment)
        findings = lint(one.text, files=FILES, environment=one.environment)
        if bool(said) != is_refused(findings):
            differ.append(f"seed {seed}: CoreDNS {said!r}, lint {findings!r}\n{one.text}")
        compared.append((one, said))
    assert not differ, f"{len(differ)} of {len(compared)} differ\n" + "\n\n".join(differ[:5])
    return compared


def test_lint_refuses_what_coredns_refuses_and_nothing_else(judge):
    compared = compare(judge, range(SAMPLE))
    counts = collections.Counter(kind for one, _ in compared for kind in one.kinds)
    assert len(KINDS) >= 20
    assert {kind: counts[kind] for kind in KINDS if counts[kind] < 10} == {}
    refused = sum(bool(said) for _, said in compared)
    assert 0.3 <= refused / len(compared) <= 0.5, refused / len(compared)


@pytest.mark.soak
def test_lint_and_coredns_agree_for_longer(judge):
    start = secrets.randbelow(10**9)
    compare(judge, range(start, start + 20_000))
