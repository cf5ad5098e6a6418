"""Rules as the kernel's own programs take and print them, in a network namespace of their own."""

import subprocess

from eksnet.kubeproxy import Ruleset

_PRIVATE = ["unshare", "--user", "--map-root-user", "--net"]
_PAIR = "ipv4_addr . inet_proto . inet_service"


def iptables_text(rules: Ruleset) -> str:
    """Return the rules as `iptables-save` prints them, without counters."""
    lines = []
    for table in sorted(rules.counts()):
        chains = [chain for chain in rules.chains.values() if chain.table == table]
        lines.append(f"*{table}")
        lines += [f":{chain.name} {chain.policy.upper() or '-'} [0:0]" for chain in chains]
        known = {chain.name for chain in chains}
        lines += [f":{name} - [0:0]" for name in sorted(_led_to(chains) - known)]
        lines += [f"-A {chain.name} {rule}" for chain in chains for rule in chain.rules]
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def _led_to(chains):
    """Return kube-proxy's chains that rules lead to; the model leaves out those without rules."""
    words = [f" {rule}".rpartition(" -j ")[2] for chain in chains for rule in chain.rules]
    return {word for word in words if word.startswith("KUBE-")}


def nft_text(rules: Ruleset) -> str:
    """Return the rules as a script of nft."""
    lines = ["table ip kube-proxy {"]
    for (_, name), one in rules.sets.items():
        lasting = f"flags dynamic, timeout; timeout {one.timeout}s;" if one.timeout else ""
        elements = f"elements = {{ {', '.join(one.elements)} }}" if one.elements else ""
        lines.append(f"set {name} {{ type ipv4_addr; {lasting} {elements} }}")
    lines += [f"chain {name} {{ }}" for _, name in _chains_first(rules)]
    for (_, name), elements in rules.maps.items():
        key = _PAIR.partition(" . ")[2] if name.endswith("nodeports") else _PAIR
        text = ", ".join(f"{key} : {verdict}" for key, verdict in elements.items())
        found = f"elements = {{ {text} }}" if text else ""
        lines.append(f"map {name} {{ type {key} : verdict; {found} }}")
    for (_, name), chain in rules.chains.items():
        hook = f"type {chain.kind} hook {chain.hook} priority {chain.priority};"
        lines.append(f"chain {name} {{ {hook if chain.hook else ''}")
        lines += [*chain.rules, "}"]
    return "\n".join([*lines, "}"]) + "\n"


def _chains_first(rules: Ruleset):
    """Return the chains that only others lead to: they have to be there before those."""
    return [name for name, chain in rules.chains.items() if not chain.hook]


def through_iptables(text: str) -> str:
    """Load a dump into a kernel's empty tables and return what they hold then."""
    return _run(["sh", "-c", "iptables-restore && iptables-save"], text)


def iptables_seen_by_nft(text: str) -> str:
    """Load a dump through iptables-nft and return what nft shows of it, as JSON."""
    return _run(["sh", "-c", "iptables-nft-restore && nft -j list ruleset"], text)


def check_iptables(text: str) -> None:
    """Let iptables read a dump and check it, without handing it to the kernel."""
    _run(["iptables-restore", "--test"], text)


def through_nft(text: str) -> str:
    """Load a script of nft into empty tables and return what they hold then, as JSON."""
    return _run(["sh", "-c", "nft -f /dev/stdin && nft -j list ruleset"], text)


def through_nft_json(text: str) -> str | None:
    """Load JSON into empty tables and return what they hold then; None when nft refuses it."""
    command = ["sh", "-c", "nft -j -f /dev/stdin && nft -j list ruleset"]
    done = subprocess.run([*_PRIVATE, *command], input=text, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def refused(command, text: str) -> str:
    """Return what a program says that refuses its input, for which it exits with 1."""
    done = subprocess.run([*_PRIVATE, *command], input=text, capture_output=True, text=True)
    assert done.returncode == 1, (done.returncode, done.stderr[:2000])
    return done.stderr


def _run(command, text: str) -> str:
    done = subprocess.run([*_PRIVATE, *command], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout
