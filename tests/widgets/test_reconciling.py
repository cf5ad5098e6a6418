"""The picture of what the load balancer controller does: what it says, and with which ports."""

import pytest

from eksnet import widgets
from eksnet.errors import EksnetError


def rows(picture):
    return picture.twin.rows.rows


def test_both_objects_lead_to_a_load_balancer_and_the_name_comes_back():
    found = [(source, target) for part, source, target, _ in rows(widgets.reconciling())
             if part == "reconcile"]  # fmt: skip
    assert found == [
        ("Ingress", "controller"), ("Service", "controller"), ("controller", "ALB"),
        ("controller", "NLB"), ("controller", "Ingress, Service"),
    ]  # fmt: skip


def test_only_the_way_of_instances_leads_over_a_node():
    ways = {
        kind: [row[1:] for row in rows(widgets.reconciling(31_000, 9_000)) if row[0] == kind]
        for kind in ("instance", "ip")
    }
    assert [row[1] for row in ways["instance"]] == ["node", "pod"]
    assert [row[1] for row in ways["ip"]] == ["pod"]
    assert "port 31000" in ways["instance"][0][2]
    assert all("port 9000" in way[-1][2] for way in ways.values())


def test_what_is_drawn_is_what_is_said():
    picture = widgets.reconciling(31_000, 9_000)
    drawn = "".join(picture.drawn)
    for name in {name for row in rows(picture) for name in row[1:3]} - {"Ingress, Service"}:
        assert f">{name}" in drawn, name
    assert drawn.count("<polygon") == len(rows(picture))
    assert (drawn.count("port 31000"), drawn.count("port 9000")) == (1, 2)
    for _, source, target, what in rows(picture):
        assert f"{source} to {target}: {what}" in picture.spoken


@pytest.mark.parametrize("port", [0, 65_536, "80"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(EksnetError):
        widgets.reconciling(port)
    with pytest.raises(EksnetError):
        widgets.reconciling(80, port)
