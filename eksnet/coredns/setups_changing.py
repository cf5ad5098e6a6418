"""What plugins take that change, keep or refuse questions and answers on their way.

Source: plugin/*/setup.go of CoreDNS 1.14.3; see `eksnet.coredns.setups`.
"""

from __future__ import annotations

from eksnet.coredns import gotext
from eksnet.coredns.rewriting import rule as rewrite_rule
from eksnet.coredns.setup_reading import NO_BLOCK, Setup, read_block
from eksnet.coredns.takes import (
    FLAG,
    anything,
    duration,
    files,
    how_many,
    how_many_fit,
    ignored,
    integer,
    network,
    no_more,
    nothing,
    one_of,
    peer,
    rdtype,
    refuse_value,
    require_file,
    word,
    words,
)
from eksnet.coredns.uses import Uses, is_open

_MINUTE = 60 * gotext.SECOND


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


def _autopath_line(uses: Uses) -> None:
    found = uses.rest()
    if not found:
        uses.refuse("autopath has no word after it", "@kubernetes, or a resolv.conf")
    if not found[-1].startswith("@"):
        require_file(uses, found[-1])


def _cache_line(uses: Uses) -> None:
    found = uses.rest()
    ttl = gotext.integer(found[0]) if found else None
    if ttl is not None and ttl <= 0:
        uses.refuse(f"cache keeps answers for {ttl} seconds", "a number from 1 on", about=found[0])


_capacity = words(1, None, integer(), integer(1), integer(0), anything)


def _percentage(value: str) -> str:
    fits = value.endswith("%") and not integer(10, 90)(value[:-1])
    return "" if fits else "10% to 90%"


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
        uses.notes[NO_BLOCK] = True


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
        read_block(Setup(options={"reload": words(1, 1, duration())}), uses)


def _rewrite_line(uses: Uses) -> None:
    found = uses.rest()
    if len(found) < 2:
        while uses.next_in_block():
            found.append(uses.word)
    if wrong := rewrite_rule(found):
        uses.refuse(*wrong)


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


CHANGING: dict[str, Setup] = {
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
            "keepttl": FLAG,
        },
        single=True,
    ),
    "rewrite": Setup(_rewrite_line),
    "header": Setup(
        nothing, {"query": _header_rule, "response": _header_rule}, lower=True,
        until="rules", end=_header_end,
    ),
    "autopath": Setup(_autopath_line),
    "minimal": Setup(no_more, first_only=True),
    "transfer": Setup(ignored, {"to": _transfer_to}, each=_transfer_each),
    "view": Setup(words(1, 1), {"expr": words(1, None)}, single=True),
}  # fmt: skip
