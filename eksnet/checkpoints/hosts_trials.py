"""What 05_lab_hosts compares predictions with: answers and trials that the learner hands in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import Observation, State, failed, not_started, then
from eksnet.checkpoints.hosts_block import ADDRESS, NAME, entry, hosts_in
from eksnet.coredns.hosts import bare
from eksnet.coredns.transport import Answer

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

# The keys of the notebook's `observed`.
TRIALS = ("without cache", "with cache 30")
# `hosts` says an hour; a fresh `cache 30` cuts it to 30, and asked again to what is left of them.
_POSSIBLE = {TRIALS[0]: (3600,), TRIALS[1]: range(1, 31)}
_TWO_TRIALS = f"for {NAME}, in a dict with the keys {' and '.join(map(repr, TRIALS))}"
# What a server says of a name that no plugin of it may pass on.
_REFUSED = "SERVFAIL"


def _then_check(gather: str, checkpoint: str, takes: str) -> str:
    return f'{gather}\neksnet.checkpoint("{checkpoint}").check(prediction, {takes})'


# How each prediction gets what it is compared with, line by line.
ANSWER = f'answer = cluster.run("busybox:1.36", "nslookup {NAME}")'
_WITHOUT = (
    f".:53 {{\n    forward . /etc/resolv.conf\n    hosts {{\n        {ADDRESS} {NAME}\n    }}\n}}"
)
OTHERS = ("kubernetes.default.svc.cluster.local", "example.com")
_TWO_NAMES = f"for {NAME} and for a name that is not in its block, such as {OTHERS[0]}"
BROKEN = f"""\
without = {_WITHOUT!r}
broken = coredns.try_corefile(cluster, without, {", ".join(map(json.dumps, (NAME, *OTHERS)))})"""
OBSERVED = f"""\
with_it = {_WITHOUT.replace(NAME, f"{NAME}{chr(10)}        fallthrough")!r}
with_cache = with_it.replace("forward", "cache 30\\n    forward")
uncached = coredns.try_corefile(cluster, with_it, "{NAME}")
cached = coredns.try_corefile(cluster, with_cache, "{NAME}")
observed = {{"{TRIALS[0]}": uncached[0].ttl, "{TRIALS[1]}": cached[0].ttl}}"""
CHECK_ANSWER = _then_check(ANSWER, "hosts-02", "answer")
CHECK_BROKEN = _then_check(BROKEN, "hosts-04", "broken")
CHECK_OBSERVED = _then_check(OBSERVED, "hosts-05", "observed")


def first_to_see(cluster: Cluster, transcript: Any) -> Any:
    """Which plugin saw the query: only `hosts` knows the address of the block's entry."""
    stands = entry(cluster)
    if stands.state is not State.PASS:
        return stands
    expected = f"what nslookup {NAME} printed in a pod, with an address"
    if transcript is None:
        return not_started("no answer was passed to the check", expected, "")
    answers = str(transcript).partition("Name:")[2]
    name, *rest = answers.split() or [""]
    if bare(name) != NAME:
        # NXDOMAIN too: so a pod answers that does not run the entry yet.
        again = then("a few seconds after a restart", CHECK_ANSWER)
        return not_started(
            f"the answer passed to the check has no address for {NAME}", expected, again
        )
    return "hosts" if ADDRESS in rest else "forward"


def code_of_others(cluster: Cluster, answers: Any) -> Any:
    """The code that a trial without `fallthrough` gave for names that are not in its block."""
    hosts = hosts_in(cluster)
    if isinstance(hosts, Observation):
        return hosts
    ours = hosts.names
    given = [one for one in answers if isinstance(one, Answer)] if _is_rows(answers) else []
    if not given:
        return _no_trial("no answers of a trial were passed to the check", _TWO_NAMES)
    others = [one for one in given if bare(one.name) not in ours]
    # Without an answer from its block the trial may have had no block at all.
    if not any(one.rdata for one in given if one not in others):
        return _no_trial(f"the trial gave no address for {NAME}", _TWO_NAMES)
    if not others:
        return _no_trial(f"the trial queried no name but {NAME}", _TWO_NAMES)
    passed_on = next((one for one in others if one.rcode != _REFUSED), None)
    if passed_on:
        return failed(
            f"the trial passed to the check gave {passed_on.rcode} for {passed_on.name}: its "
            f"hosts passed that name on",
            "a trial without `fallthrough`",
            "",
        )
    return _REFUSED


def _is_rows(answers: Any) -> bool:
    return isinstance(answers, Sequence) and not isinstance(answers, str)


def ttls(cluster: Cluster, ttls: Any) -> Any:
    """The TTLs that the two trials gave."""
    hosts = hosts_in(cluster)
    if isinstance(hosts, Observation):
        return hosts
    if ttls is None:
        return _no_trial("no answers of a trial were passed to the check", _TWO_TRIALS)
    if not isinstance(ttls, Mapping) or set(ttls) != set(TRIALS):
        return _no_trial("the value passed to the check is not from the two trials", _TWO_TRIALS)
    seen = {trial: _ttl(ttls[trial]) for trial in TRIALS}
    for trial, ttl in seen.items():
        if ttl is None:
            return _no_trial(f"the trial {trial} gave no record", _TWO_TRIALS)
        # Only the learner has the answers: numbers that no such trial gives are not of one.
        if ttl not in _POSSIBLE[trial]:
            return _no_trial(f"the trial {trial} cannot give the TTL {ttl}", _TWO_TRIALS)
    return seen


def _ttl(given: Any) -> int | None:
    """Return the TTL in what a trial returned: a number, an answer, or answers."""
    if _is_rows(given):
        given = next((one for one in given if getattr(one, "name", "") == NAME), None)
    if isinstance(given, Answer):
        given = given.ttl if bare(given.name) == NAME else None
    return given if isinstance(given, int) else None


def _no_trial(seen: str, wanted: str) -> Observation:
    return not_started(seen, f"what coredns.try_corefile returned {wanted}", "")
