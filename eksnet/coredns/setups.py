"""What the set-up of each plugin takes: the words of its line, and the options of its block.

A row of `SETUPS` is a plugin. `tests/coredns/test_setups.py` holds the table to the set-up
functions of the engine's CoreDNS, with Corefiles that a grammar writes. What is left out is passed:
what stands in a file, the language of `view`, the inside of a template's actions, and whether an
account of a cloud answers.

Source: plugin/*/setup.go of CoreDNS 1.14.3, in the order of its plugin.cfg.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from eksnet.coredns import gotext
from eksnet.coredns.releases import PINNED, Release, options_of
from eksnet.coredns.rewriting import rule as rewrite_rule
from eksnet.coredns.takes import (
    any_rcode,
    anything,
    class_of,
    duration,
    expression,
    files,
    how_many,
    how_many_fit,
    ignored,
    integer,
    listen_address,
    network,
    nothing,
    once,
    one_of,
    path,
    peer,
    rcode,
    rdtype,
    refuse_value,
    remember,
    require_file,
    template,
    then,
    unsigned,
    word,
    words,
)
from eksnet.coredns.uses import Check, Fault, RefusedError, Uses, Word, is_open
from eksnet.coredns.zones import split_transport, zones_of

_SECOND, _MINUTE, _DAY = gotext.SECOND, 60 * gotext.SECOND, 86400 * gotext.SECOND
_MOST_UPSTREAMS = 15


# The plugins.


@dataclass(frozen=True)
class Setup:
    """What a plugin's set-up takes.

    Attributes:
        line: The words after its name.
        options: The options of its block, by name; None for a plugin that reads no block.
        single: Whether a second use is refused.
        first_only: Whether it looks at its first use alone.
        until: The note with which it looks at no further use; empty for none.
        lower: Whether options are the same in capitals.
        lenient: Whether an option that it does not know is passed.
        end: What is looked at after the last use.
        each: What is looked at after each use.
    """

    line: Check = ignored
    options: Mapping[str, Check] | None = None
    single: bool = False
    first_only: bool = False
    until: str = ""
    lower: bool = False
    lenient: bool = False
    end: Check = nothing
    each: Check = nothing


TAKE_KEYS = frozenset({"kubernetes"})
"""The plugins whose set-up looks at the keys of the server block."""


def refusal(
    plugin: str,
    words: tuple[Word, ...],
    keys: tuple[str, ...],
    files: frozenset[str],
    release: Release = PINNED,
) -> Fault | None:
    """Return why a plugin's set-up refuses the words of its uses; None when it takes them.

    Args:
        plugin: The plugin's name.
        words: The words of its uses in a server block, the name first, with their lines counted
            from the first of them.
        keys: The keys of the server block.
        files: The files that CoreDNS finds.
        release: The release of CoreDNS.
    """
    setup = SETUPS.get(plugin)
    if setup is None:
        return None
    uses = Uses(plugin, words, keys, files_of(files), release=release)
    try:
        _run(setup, uses)
    except RefusedError as error:
        return error.fault
    return None


def _run(setup: Setup, uses: Uses) -> None:
    while uses.next():
        if uses.count and setup.single:
            uses.refuse(f"{uses.plugin} is used a second time", kind="twice", about=uses.plugin)
        uses.count += 1
        setup.line(uses)
        _read_block(setup, uses)
        setup.each(uses)
        if setup.first_only or setup.until in uses.notes:
            break
    setup.end(uses)


_NO_BLOCK = "no block"


def _read_block(setup: Setup, uses: Uses) -> None:
    if uses.notes.pop(_NO_BLOCK, False):
        return
    while setup.options is not None and uses.next_in_block():
        name = uses.word.lower() if setup.lower else uses.word
        check = setup.options.get(name, nothing) if setup.lenient else _option(setup, name, uses)
        check(uses)


def _option(setup: Setup, name: str, uses: Uses) -> Check:
    """Return what takes the words of an option of a release.

    Raises:
        RefusedError: The release has no such option.
    """
    options = _options_of(uses.plugin, uses.release)
    if found := options.get(name) if name else None:
        return found
    if "" in options:
        return options[""]
    if is_open(name):
        return ignored
    uses.refuse(f"{uses.plugin} has no option {uses.word!r}", kind="option", about=uses.word)


@functools.cache
def _options_of(plugin: str, release: Release) -> Mapping[str, Check]:
    """Return the options of a release; of those that the table does not have any words are taken.

    The empty name stands for any other word.
    """
    options = SETUPS[plugin].options or {}
    known = options_of(plugin, release)
    return {
        **{name: options.get(name, ignored) for name in known},
        **({"": options[""]} if "" in options else {}),
    }


# acl, auto, autopath.


def _acl_policy(uses: Uses) -> None:
    section, count = "", 0
    for one in uses.rest():
        if one.lower() in ("type", "net"):
            _section_is_filled(uses, section, count)
            section, count = one.lower(), 0
        elif not section:
            uses.refuse(f"acl has {one!r} where a section begins", "type or net", about=one)
        else:
            count += 1
            _acl_value(uses, section, one)
    _section_is_filled(uses, section, count)


def _section_is_filled(uses: Uses, section: str, count: int) -> None:
    if section and not count:
        uses.refuse(f"{section} has nothing after it", "a value after it", about=section)


def _acl_value(uses: Uses, section: str, value: str) -> None:
    if value == "*":
        return
    if section == "type":
        refuse_value(uses, value, rdtype(value))
    elif "/" in value:
        refuse_value(uses, value, network(value))
    else:
        refuse_value(uses, value, network(f"{value}/{128 if ':' in value else 32}"))


def _auto_directory(uses: Uses) -> None:
    word(path)(uses)
    if uses.next_on_line():
        count = gotext.groups(uses.word)
        if not count and not is_open(uses.word):
            expected = "a regular expression with a group"
            uses.refuse(f"auto has the expression {uses.word!r}", expected, about=uses.word)
        word()(uses)
    if uses.next_on_line():
        uses.refuse("directory has more than three words after it", "three at most")


def _autopath_line(uses: Uses) -> None:
    found = uses.rest()
    if not found:
        uses.refuse("autopath has no word after it", "@kubernetes, or a resolv.conf")
    if not found[-1].startswith("@"):
        require_file(uses, found[-1])


# bind, bufsize, cache, chaos.


def _bind_address(value: str) -> str:
    # Interfaces of another computer cannot be seen: a short word may be the name of one.
    looks_like_interface = len(value) < 16 and value[:1].isalpha() and ":" not in value
    fits = gotext.address(value) or looks_like_interface
    return "" if fits else "an IP address, or a network interface"


def _cache_line(uses: Uses) -> None:
    found = uses.rest()
    ttl = gotext.integer(found[0]) if found else None
    if ttl is not None and ttl <= 0:
        uses.refuse(f"cache keeps answers for {ttl} seconds", "a number from 1 on", about=found[0])


_capacity = words(1, None, integer(), integer(1), integer(0), anything)


def _percentage(value: str) -> str:
    fits = value.endswith("%") and not integer(10, 90)(value[:-1])
    return "" if fits else "10% to 90%"


# dns64, dnssec.


def _prefix(value: str) -> str:
    found = gotext.network(value)
    fits = found and found.version == 6 and found.prefixlen % 8 == 0 and 32 <= found.prefixlen <= 96
    return "" if fits else "an IPv6 network of 32 to 96 bits, a multiple of 8"


def _dns64_line(uses: Uses) -> None:
    found = uses.rest()
    if len(found) > 1:
        uses.refuse(how_many("dns64", len(found)), how_many_fit(0, 1))
    if found:
        # With a prefix on its line it reads no block, and takes the words of one for more uses.
        refuse_value(uses, found[0], _prefix(found[0]))
        uses.notes[_NO_BLOCK] = True


def _key_pair(uses: Uses) -> None:
    if not uses.next_on_line():
        uses.refuse("key has no word after it", "file NAME")
    if uses.word == "file":
        files(1, None, suffix=".key")(uses)


# errors.


def _consolidate(uses: Uses) -> None:
    option = uses.word
    found = uses.rest()
    if not 2 <= len(found) <= 4:
        uses.refuse(how_many(option, len(found)), "2 to 4 words", about=option)
    refuse_value(uses, found[0], duration()(found[0]))
    refuse_value(uses, found[1], expression(found[1]))
    levels = [one for one in found[2:] if one != "show_first"]
    for one in levels:
        refuse_value(uses, one, one_of("warning", "error", "info", "debug")(one))
    if len(levels) > 1 or (levels and found[2] == "show_first"):
        uses.refuse("consolidate has its level at the wrong place", "a level, then show_first")


# file, forward, grpc.


def _upstreams(uses: Uses) -> None:
    """Take the zone and the servers of forward and grpc."""
    if not uses.next_on_line():
        uses.refuse(f"{uses.plugin} has no word after it", "a zone and a server")
    if not is_open(uses.word) and not zones_of(uses.word):
        uses.refuse(f"{uses.plugin} is for {uses.word!r}", "a zone such as .", about=uses.word)
    found = uses.rest()
    if not found:
        uses.refuse(f"{uses.plugin} names no server", "an address, or a file such as resolv.conf")
    for one in found:
        _check_upstream(uses, one)
    uses.notes["servers"] = found


def _check_upstream(uses: Uses, server: str) -> None:
    if is_open(server):
        return
    transport, host = split_transport(server)
    if transport == "unix" and host:
        return
    pair = gotext.host_port(host)
    name = pair[0] if pair else host.strip("[]")
    if host and gotext.address(name.rpartition("%")[0] if "%" in name else name):
        return
    if not host or not uses.has_file(host if pair else name):
        expected = "an IP address, or a file such as /etc/resolv.conf"
        uses.refuse(f"{uses.plugin} asks {server!r}", expected, about=server)


def _forward_end(uses: Uses) -> None:
    servers = uses.notes.pop("servers", [])
    assert isinstance(servers, list)
    age, expire = uses.notes.pop("max_age", "0"), uses.notes.pop("expire", "10s")
    longest, idle = gotext.duration(str(age)), gotext.duration(str(expire))
    if longest and idle and longest < idle:
        uses.refuse(f"max_age {age} is less than expire {expire}", "max_age of expire or more")
    for one in servers:
        transport, host = split_transport(one)
        if transport not in ("dns", "tls"):
            uses.refuse(f"forward asks {one!r}", "DNS, or DNS over TLS: tls://", about=one)
        if transport == "tls" and "%" in host and uses.notes.get("tls_servername"):
            uses.refuse(f"both forward and {one!r} name the server for TLS", "one of the two")
    if len(servers) > _MOST_UPSTREAMS:
        expected = f"{_MOST_UPSTREAMS} at most"
        uses.refuse(f"forward names {len(servers)} servers", expected)
    uses.notes.clear()


def _health_check(uses: Uses) -> None:
    word(duration(0))(uses)
    while uses.next_on_line():
        if uses.word == "domain":
            word(lambda name: "" if gotext.is_domain(name) else "a name")(uses)
        elif uses.word != "no_rec":
            uses.refuse(f"health_check has {uses.word!r}", "no_rec, or domain NAME")


def _failover(value: str) -> str:
    return any_rcode(value) or ("a code of a failure" if value.upper() == "NOERROR" else "")


_BALANCING = one_of("random", "round_robin", "sequential")
_NAMES = words(1, None)
_FLAG = words(0, 0)


# header, hosts, kubernetes.


def _header_rule(uses: Uses) -> None:
    selector = uses.word
    if not uses.next_on_line():
        uses.refuse(f"{selector} has no word after it", "set or clear")
    action = uses.word
    found = uses.rest()
    refuse_value(uses, action, one_of("set", "clear", lower=True)(action))
    if not found:
        uses.refuse(f"{selector} {action} names no flag", "aa, ra or rd")
    for one in found:
        refuse_value(uses, one, one_of("aa", "ra", "rd", lower=True)(one))
    uses.notes["rules"] = True


def _header_end(uses: Uses) -> None:
    if "rules" not in uses.notes:
        uses.refuse("header has no rule", "response set ra, or another one")


def _hosts_line(uses: Uses) -> None:
    found = uses.rest()
    if found:
        refuse_value(uses, found[0], path(found[0]))


def _hosts_ttl(uses: Uses) -> None:
    words(1, None, integer(1, 65535), anything)(uses)


def _fallthrough(uses: Uses) -> None:
    found = uses.rest()
    uses.notes["fallthrough"] = not found or any(zones_of(one) for one in found)


def _hosts_entry(uses: Uses) -> None:
    if uses.notes.get("fallthrough"):
        uses.refuse(
            f"hosts has the entry {uses.word!r} after fallthrough",
            "all entries before fallthrough",
            kind="late",
            about=uses.word,
        )
    uses.rest()


def _kubernetes_line(uses: Uses) -> None:
    zones = [zone for one in uses.rest() for zone in zones_of(one)]
    uses.notes["zones"] = zones = zones or [zone for one in uses.keys for zone in zones_of(one)]
    if all(zone.endswith((".in-addr.arpa.", ".ip6.arpa.")) for zone in zones):
        uses.refuse("kubernetes has no zone but reverse ones", "a zone such as cluster.local")


def _ignore(uses: Uses) -> None:
    found = uses.rest()
    if found:
        refuse_value(uses, found[0], one_of("empty_service")(found[0]))


def _selector(uses: Uses) -> None:
    option = uses.word
    found = uses.rest()
    if not found or not gotext.is_selector(" ".join(found)):
        uses.refuse(f"{option} has {' '.join(found)!r}", "a label selector", about=option)
    uses.notes[option] = True


def _namespaces(uses: Uses) -> None:
    words(1, None)(uses)
    uses.notes["namespaces"] = True


def _multicluster(uses: Uses) -> None:
    zones = uses.notes.setdefault("multicluster", [])
    assert isinstance(zones, list)
    zones[:] = [zone for one in uses.rest() for zone in zones_of(one)]


def _kubernetes_end(uses: Uses) -> None:
    if "namespaces" in uses.notes and "namespace_labels" in uses.notes:
        uses.refuse("kubernetes has both namespaces and namespace_labels", "one of the two")
    zones, own = uses.notes.get("multicluster", []), uses.notes.get("zones", [])
    assert isinstance(zones, list)
    assert isinstance(own, list)
    for zone in zones:
        if zone not in own:
            uses.refuse(
                f"kubernetes has no zone {zone}, which multicluster names", "one of its zones"
            )


def _qps(value: str) -> str:
    found = gotext.number(value)
    return "" if found is not None and found >= 0 else "a number from 0 on"


# loadbalance, log, metadata, on, reload.


def _loadbalance_line(uses: Uses) -> None:
    found = uses.rest()
    if not found:
        return
    refuse_value(uses, found[0], one_of("round_robin", "weighted")(found[0]))
    least = 2 if found[0] == "weighted" else 1
    if len(found) != least and not is_open(found[0]):
        uses.refuse(how_many(found[0], len(found) - 1), how_many_fit(least - 1, least - 1))
    uses.notes["weighted"] = found[0] == "weighted"
    if uses.notes["weighted"]:
        _read_block(Setup(options={"reload": words(1, 1, duration())}), uses)


def _metadata_end(uses: Uses) -> None:
    if uses.next_in_block() or uses.next():
        uses.refuse("metadata has a block, or a second use", "its zones alone")


def _multisocket_end(uses: Uses) -> None:
    if uses.next():
        uses.refuse("multisocket has a block, or a second use", "a number alone")


def _on_line(uses: Uses) -> None:
    word(one_of("startup", "shutdown", "certrenew", lower=True))(uses)
    if not " ".join(uses.rest()).strip():
        uses.refuse("on names no command", "a command after the event")


def _reload_line(uses: Uses) -> None:
    found = uses.rest()
    if len(found) > 2:
        uses.refuse(how_many("reload", len(found)), "0 to 2 words")
    if found:
        refuse_value(uses, found[0], duration(2 * _SECOND)(found[0]))
    if len(found) > 1 and gotext.duration(found[1]) != 0:
        refuse_value(uses, found[1], duration(_SECOND)(found[1]))


def _no_more(uses: Uses) -> None:
    """Refuse any word on the line, a brace too."""
    if uses.next_on_line():
        uses.refuse(
            f"{uses.plugin} has {uses.word!r} after it", "nothing after it", about=uses.word
        )


# rewrite, secondary, template, timeouts, tls, transfer, view.


def _rewrite_line(uses: Uses) -> None:
    found = uses.rest()
    if len(found) < 2:
        while uses.next_in_block():
            found.append(uses.word)
    if wrong := rewrite_rule(found):
        uses.refuse(*wrong)


def _transfer_in(uses: Uses) -> None:
    word(one_of("from"))(uses)
    words(1, None, lambda host: "an IP address" if host == "*" else peer(host))(uses)
    uses.notes["transfer"] = True


def _secondary_each(uses: Uses) -> None:
    if not uses.notes.pop("transfer", False):
        uses.refuse("secondary has no option transfer", "transfer from ADDRESS")


def _template_line(uses: Uses) -> None:
    word(class_of)(uses)
    word(rdtype)(uses)
    uses.rest()


def _extended_error(value: str) -> str:
    return "" if gotext.unsigned(value, 16) is not None else "a number from 0 to 65535"


def _timeout(uses: Uses) -> None:
    words(1, 1, duration(_SECOND, _DAY, bare=True))(uses)
    uses.notes["timeouts"] = True


def _timeouts_each(uses: Uses) -> None:
    if not uses.notes.pop("timeouts", False):
        uses.refuse("timeouts has no timeout", "read, write or idle")


def _transfer_to(uses: Uses) -> None:
    words(1, None, lambda host: "" if host == "*" else peer(host))(uses)
    uses.notes["to"] = True


def _transfer_each(uses: Uses) -> None:
    if not uses.notes.pop("to", False):
        uses.refuse("transfer has no option to", "to ADDRESS")


def _secret(uses: Uses) -> None:
    found = uses.rest()
    if len(found) != 2:
        uses.refuse(how_many("secret", len(found)), "2 words")
    names = uses.notes.setdefault("secrets", set())
    assert isinstance(names, set)
    name = found[0].lower().rstrip(".")
    if name in names:
        uses.refuse(f"the key {found[0]} is there twice", "one secret for a key")
    names.add(name)


def _trace_line(uses: Uses) -> None:
    found = uses.rest()
    if len(found) > 2:
        uses.refuse(how_many("trace", len(found)), "0 to 2 words")
    if len(found) == 2:
        refuse_value(uses, found[0], one_of("zipkin", "datadog", lower=True)(found[0]))


def _boolean(value: str) -> str:
    known = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
    return one_of(*known)(value)


def _rate(value: str) -> str:
    found = gotext.number(value)
    return "" if found is not None and 0 <= found <= 1 else "a number from 0 to 1"


def _unsigned_64(value: str) -> str:
    return "" if gotext.unsigned(value, 64) is not None else "a number from 0 on"


def files_of(known: Collection[str]) -> Callable[[str], bool]:
    """Return what tells whether a file is among those that are known."""
    paths = frozenset(known)
    return lambda path: path in paths or f"/etc/coredns/{path.removeprefix('./')}" in paths


_QUIC = {
    "max_streams": once("streams", words(1, 1, integer(1))),
    "worker_pool_size": once("workers", words(1, 1, integer(1))),
}
_GRPC_SERVER = {
    "max_streams": once("streams", words(1, 1, integer(0))),
    "max_connections": once("connections", words(1, 1, integer(0))),
}
_TLS_FILES = files(0, 3)
_TTL = words(1, None, integer(0, 3600), anything)

SETUPS: dict[str, Setup] = {
    "root": Setup(word(path)),
    "metadata": Setup(ignored, first_only=True, end=_metadata_end),
    "geoip": Setup(then(files(1, 1)), {"edns-subnet": nothing}, single=True),
    "cancel": Setup(words(0, 1, duration(1))),
    "tls": Setup(
        files(2, 3),
        {
            "client_auth": words(
                1, 1,
                one_of("nocert", "request", "require", "verify_if_given", "require_and_verify"),
            ),
            "keylog": words(1, 1),
        },
    ),
    "quic": Setup(_FLAG, _QUIC, first_only=True),
    "grpc_server": Setup(_FLAG, _GRPC_SERVER, first_only=True),
    "https": Setup(_FLAG, {"max_connections": _GRPC_SERVER["max_connections"]}, first_only=True),
    "https3": Setup(_FLAG, {"max_streams": _GRPC_SERVER["max_streams"]}, first_only=True),
    "timeouts": Setup(
        _FLAG, {"read": _timeout, "write": _timeout, "idle": _timeout}, each=_timeouts_each
    ),
    "multisocket": Setup(words(0, 1, integer(1, 1024)), first_only=True, end=_multisocket_end),
    "reload": Setup(_reload_line, first_only=True),
    "nsid": Setup(ignored, single=True),
    "bufsize": Setup(words(0, 1, integer(512, 4096)), first_only=True),
    "bind": Setup(
        words(1, None, _bind_address), {"except": words(1, None, _bind_address)}
    ),
    "debug": Setup(_no_more),
    "trace": Setup(
        _trace_line,
        {
            "every": words(1, 1, _unsigned_64),
            "service": words(1, 1),
            "client_server": words(0, 1, _boolean),
            "datadog_analytics_rate": words(0, 1, _rate),
            "zipkin_max_backlog_size": words(1, 1, integer()),
            "zipkin_max_batch_size": words(1, 1, integer()),
            "zipkin_max_batch_interval": words(1, 1, duration()),
        },
        lenient=True,
    ),
    "proxyproto": Setup(
        _FLAG,
        {
            "allow": words(0, None, network),
            "default": words(1, 1, one_of("use", "ignore", "reject", "skip", lower=True)),
            "udp_session_tracking": words(1, 2, duration(), integer(1)),
        },
    ),
    "ready": Setup(
        words(0, 1, listen_address),
        {"monitor": words(1, 1, one_of("until-ready", "continuously"))},
        single=True,
        lenient=True,
    ),
    "health": Setup(words(0, 1, listen_address), {"lameduck": words(1, 1, duration())}),
    "pprof": Setup(words(0, 1, listen_address), {"block": words(0, 1, integer())}, single=True),
    "prometheus": Setup(
        words(0, 1, listen_address),
        {"runtime_metrics": _FLAG, "tls": once("tls", words(1, 1))},
        single=True,
    ),
    "errors": Setup(
        words(0, 1, one_of("stdout")),
        {"stacktrace": nothing, "consolidate": _consolidate},
        single=True,
    ),
    "log": Setup(
        ignored, {"class": words(1, None, one_of("all", "success", "denial", "error"))}
    ),
    "dnstap": Setup(
        words(1, None, anything, anything, integer(1, 1024), integer(1, 4096), anything),
        {"skipverify": nothing, "identity": word(), "version": word(), "extra": word()},
        lenient=True,
    ),
    "dns64": Setup(
        _dns64_line, {"prefix": word(_prefix), "translate_all": nothing, "allow_ipv4": nothing}
    ),
    "acl": Setup(
        ignored,
        dict.fromkeys(("allow", "block", "filter", "drop"), _acl_policy),
        lower=True,
    ),
    "loadbalance": Setup(_loadbalance_line, {"prefer": words(0, None, network)}),
    "tsig": Setup(
        ignored,
        {
            "secret": _secret,
            "secrets": files(1, 1),
            "require": words(1, None, lambda one: "" if one in ("all", "none") else rdtype(one)),
            "require_opcode": words(
                1, None, one_of("all", "none", "QUERY", "IQUERY", "STATUS", "NOTIFY", "UPDATE")
            ),
        },
        single=True,
    ),
    "cache": Setup(
        _cache_line,
        {
            "success": _capacity,
            "denial": _capacity,
            "prefetch": words(1, 3, integer(0), duration(), _percentage),
            "serve_stale": words(0, 2, duration(0), one_of("immediate", "verify", lower=True)),
            "servfail": words(1, 1, duration(0, 5 * _MINUTE)),
            "disable": words(1, None, one_of("success", "denial"), anything),
            "keepttl": _FLAG,
        },
        single=True,
    ),
    "rewrite": Setup(_rewrite_line),
    "header": Setup(
        nothing, {"query": _header_rule, "response": _header_rule}, lower=True,
        until="rules", end=_header_end,
    ),
    "dnssec": Setup(ignored, {"key": _key_pair, "cache_capacity": word(integer())}, single=True),
    "autopath": Setup(_autopath_line),
    "minimal": Setup(_no_more, first_only=True),
    "template": Setup(
        _template_line,
        {
            "match": words(1, None, expression),
            "answer": words(1, None, template),
            "additional": words(1, None, template),
            "authority": words(1, None, template),
            "rcode": word(rcode),
            "ederror": words(1, 2, _extended_error, anything),
            "fallthrough": ignored,
            "upstream": ignored,
        },
    ),
    "transfer": Setup(ignored, {"to": _transfer_to}, each=_transfer_each),
    "hosts": Setup(
        _hosts_line,
        {
            "fallthrough": _fallthrough,
            "no_reverse": nothing,
            "ttl": _hosts_ttl,
            "reload": words(1, 1, duration(0)),
            "": _hosts_entry,
        },
        single=True,
    ),
    "k8s_external": Setup(
        ignored,
        {"ttl": _TTL, "apex": words(1, None), "headless": nothing, "fallthrough": ignored},
    ),
    "kubernetes": Setup(
        _kubernetes_line,
        {
            "endpoint_pod_names": _FLAG,
            "pods": words(1, 1, one_of("disabled", "insecure", "verified")),
            "namespaces": _namespaces,
            "endpoint": _NAMES,
            "tls": files(3, 3),
            "labels": _selector,
            "namespace_labels": _selector,
            "fallthrough": ignored,
            "ttl": _TTL,
            "noendpoints": _FLAG,
            "ignore": _ignore,
            "kubeconfig": words(1, 2),
            "multicluster": _multicluster,
            "startup_timeout": words(1, None, duration(), anything),
            "apiserver_qps": words(1, 1, _qps),
            "apiserver_burst": words(1, 1, integer(0)),
            "apiserver_max_inflight": words(1, 1, integer(0)),
        },
        single=True,
        each=_kubernetes_end,
    ),
    "file": Setup(
        then(word(), ignored),
        {
            "fallthrough": ignored,
            "reload": words(1, None, duration(), anything),
            "upstream": ignored,
        },
    ),
    "auto": Setup(
        ignored,
        {
            "directory": _auto_directory,
            "reload": words(1, None, duration(0), anything),
            "upstream": ignored,
        },
    ),
    "secondary": Setup(ignored, {"transfer": _transfer_in}, each=_secondary_each),
    "loop": Setup(_no_more, single=True),
    "forward": Setup(
        _upstreams,
        {
            "except": _NAMES,
            "max_fails": word(unsigned),
            "max_connect_attempts": word(unsigned),
            "health_check": _health_check,
            "force_tcp": _no_more,
            "prefer_udp": _no_more,
            "tls": _TLS_FILES,
            "tls_servername": remember("tls_servername", word()),
            "expire": remember("expire", word(duration(0))),
            "max_age": remember("max_age", word(duration(0))),
            "max_idle_conns": word(integer(0)),
            "policy": word(_BALANCING),
            "max_concurrent": word(integer(0)),
            "next": words(1, None, any_rcode),
            "failfast_all_unhealthy_upstreams": _FLAG,
            "failover": words(1, None, _failover),
        },
        each=_forward_end,
    ),
    "grpc": Setup(
        _upstreams,
        {
            "except": _NAMES,
            "tls": _TLS_FILES,
            "tls_servername": word(),
            "policy": word(_BALANCING),
            "fallthrough": ignored,
        },
        single=True,
    ),
    "erratic": Setup(
        nothing,
        {
            "drop": words(0, 1, integer(0, 2**31 - 1)),
            "delay": words(0, 2, integer(0, 2**31 - 1), duration()),
            "truncate": words(0, 1, integer(0, 2**31 - 1)),
            "large": nothing,
        },
    ),
    "whoami": Setup(_no_more, first_only=True),
    "on": Setup(_on_line),
    "sign": Setup(then(word(), ignored), {"key": _key_pair, "directory": words(1, 1)}),
    "view": Setup(words(1, 1), {"expr": words(1, None)}, single=True),
}  # fmt: skip
