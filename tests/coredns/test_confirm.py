"""Records beside what the cluster's DNS tells: O for just so, X for anything else."""

from typing import Any

import pytest

from eksnet.cluster import countdown
from eksnet.coredns import Answer, confirm, observe
from eksnet.dns import Record

SERVICE = Record("web.shop.svc.cluster.local", "A", "10.100.7.7", "test")
HEADLESS = tuple(
    Record("db.shop.svc.cluster.local", "A", f"10.0.129.{n}", "test") for n in (21, 22)
)
PORT = Record("_http._tcp.web.shop.svc.cluster.local", "SRV", f"0 100 80 {SERVICE.name}", "test")
RECORDS = (SERVICE, *HEADLESS, PORT)
TOLD = {
    (SERVICE.name, "A"): (SERVICE.value,),
    (HEADLESS[0].name, "A"): tuple(one.value for one in HEADLESS),
    (PORT.name, "SRV"): (f"{PORT.value}.",),
}


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], tuple[str, ...]]:
    """What the cluster's DNS tells, to be changed by a test."""
    told = dict(TOLD)

    def ask_each(asked: Any, _: Any) -> dict[tuple[str, str], Answer]:
        found = {one: told.get(one, ()) for one in asked}
        return {
            one: Answer(one[0], "NOERROR" if values else "NXDOMAIN", 5 if values else None, values)
            for one, values in found.items()
        }

    monkeypatch.setattr(observe, "ask_each", ask_each)
    monkeypatch.setattr(observe, "_HEARD", 0)
    return told


def marks(records: tuple[Record, ...] = RECORDS) -> str:
    return "".join(row[-1] for row in confirm(None, records).rows)  # type: ignore[arg-type]


def test_what_is_told_just_so_is_confirmed_in_the_records_order(dns: Any) -> None:
    table = confirm(None, RECORDS)  # type: ignore[arg-type]
    assert table.columns == ("rdtype", "name", "confirmed")
    assert table.rows == tuple((one.rdtype, one.name, "O") for one in RECORDS)
    assert tuple(table) == RECORDS
    assert marks(RECORDS[::-1]) == "OOOO"


@pytest.mark.parametrize(
    ("record", "told", "expected"),
    [
        # Another value, no record, one of two, and one too many.
        (SERVICE, ("10.100.7.8",), "XOOO"),
        (SERVICE, (), "XOOO"),
        (HEADLESS[0], (HEADLESS[0].value,), "OXXO"),
        (HEADLESS[0], (*TOLD[HEADLESS[0].name, "A"], "10.0.129.23"), "OXXO"),
        (PORT, (f"0 100 8080 {SERVICE.name}.",), "OOOX"),
        (PORT, (), "OOOX"),
    ],
)
def test_what_is_told_otherwise_is_not(
    record: Record, told: tuple[str, ...], expected: str, dns: Any
) -> None:
    dns[record.name, record.rdtype] = told
    assert marks() == expected


def test_a_record_of_another_type_confirms_nothing(dns: Any) -> None:
    dns[SERVICE.name, "AAAA"] = dns.pop((SERVICE.name, "A"))
    assert marks() == "XOOO"


def test_coredns_may_hear_of_a_record_a_moment_later(
    dns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def hear(seconds: float) -> None:
        looks.append(seconds)
        dns[SERVICE.name, "A"] = TOLD[SERVICE.name, "A"]
        # What was told just so is not asked again.
        del dns[PORT.name, "SRV"]

    monkeypatch.setattr(observe, "_HEARD", 60)
    monkeypatch.setattr(countdown.time, "sleep", hear)
    dns[SERVICE.name, "A"] = ()
    assert marks() == "OOOO"
    assert len(looks) == 1


def test_no_records_make_an_empty_table(dns: Any) -> None:
    assert marks(()) == ""
