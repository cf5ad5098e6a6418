"""What plugins take that are about the server: where it listens, its limits, logs and probes.

Source: plugin/*/setup.go of CoreDNS 1.14.3; see `eksnet.coredns.setups`.
"""

from __future__ import annotations

from eksnet.coredns import gotext
from eksnet.coredns.setup_reading import Setup
from eksnet.coredns.takes import (
    FLAG,
    anything,
    duration,
    expression,
    files,
    how_many,
    ignored,
    integer,
    listen_address,
    network,
    no_more,
    nothing,
    once,
    one_of,
    path,
    refuse_value,
    then,
    word,
    words,
)
from eksnet.coredns.uses import Uses

_SECOND = gotext.SECOND
_DAY = 86400 * gotext.SECOND


def _bind_address(value: str) -> str:
    # Interfaces of another computer cannot be seen: a short word may be the name of one.
    looks_like_interface = len(value) < 16 and value[:1].isalpha() and ":" not in value
    fits = gotext.address(value) or looks_like_interface
    return "" if fits else "an IP address, or a network interface"


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


def _timeout(uses: Uses) -> None:
    words(1, 1, duration(_SECOND, _DAY, bare=True))(uses)
    uses.notes["timeouts"] = True


def _timeouts_each(uses: Uses) -> None:
    if not uses.notes.pop("timeouts", False):
        uses.refuse("timeouts has no timeout", "read, write or idle")


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


_QUIC = {
    "max_streams": once("streams", words(1, 1, integer(1))),
    "worker_pool_size": once("workers", words(1, 1, integer(1))),
}

_GRPC_SERVER = {
    "max_streams": once("streams", words(1, 1, integer(0))),
    "max_connections": once("connections", words(1, 1, integer(0))),
}


SERVING: dict[str, Setup] = {
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
    "quic": Setup(FLAG, _QUIC, first_only=True),
    "grpc_server": Setup(FLAG, _GRPC_SERVER, first_only=True),
    "https": Setup(FLAG, {"max_connections": _GRPC_SERVER["max_connections"]}, first_only=True),
    "https3": Setup(FLAG, {"max_streams": _GRPC_SERVER["max_streams"]}, first_only=True),
    "timeouts": Setup(
        FLAG, {"read": _timeout, "write": _timeout, "idle": _timeout}, each=_timeouts_each
    ),
    "multisocket": Setup(words(0, 1, integer(1, 1024)), first_only=True, end=_multisocket_end),
    "reload": Setup(_reload_line, first_only=True),
    "nsid": Setup(ignored, single=True),
    "bufsize": Setup(words(0, 1, integer(512, 4096)), first_only=True),
    "bind": Setup(
        words(1, None, _bind_address), {"except": words(1, None, _bind_address)}
    ),
    "debug": Setup(no_more),
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
        FLAG,
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
        {"runtime_metrics": FLAG, "tls": once("tls", words(1, 1))},
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
    "on": Setup(_on_line),
}  # fmt: skip
