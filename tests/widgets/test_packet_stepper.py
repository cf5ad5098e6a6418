"""The model of the widget packet stepper: what it adds to eksnet.kubeproxy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import NODE, SERVICE, SLICE, rules, stepper, view

from eksnet import kubeproxy, widgets
from eksnet.errors import EksnetError
from eksnet.kubeproxy import Packet
from eksnet.widgets.packet_stepper import A_POD, PacketStepper, scene

CHOICES = {
    name: trait.values
    for name, trait in stepper().traits().items()
    if name in ("service", "client", "protocol", "mode")
}


def table(model, caption):
    return next(
        part
        for part in model.panel().parts
        if isinstance(part, widgets.Table) and part.caption.startswith(caption)
    )


def marked(model, caption):
    found = table(model, caption)
    return found.rows.items[found.marked]


def steps(model):
    model.step = 0
    for _ in range(model.steps):
        yield model
        model.forward()


def test_every_address_of_the_service_can_be_chosen():
    assert CHOICES["service"] == (
        "shop/web:http ClusterIP 10.100.7.7:80",
        "shop/web:http NodePort 10.0.128.10:30080",
        "shop/web:http external IP 198.51.100.7:80",
    )


def test_an_endpoint_of_this_node_the_node_and_the_outside_can_send():
    assert CHOICES["client"] == (
        "a pod 10.0.255.250",
        "endpoint 10.0.128.21",
        "the node 10.0.128.10",
        "outside 203.0.113.9",
    )


@settings(max_examples=30)
@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CHOICES.items()}))
def test_the_steps_are_those_of_the_kubeproxy_room(chosen):
    model = stepper(passed=True, **chosen)
    walk = kubeproxy.packet_walks(rules(chosen["mode"]), model.packet, NODE)[0]
    seen = [(marked(one, "The way"), marked(one, "Chain ")) for one in steps(model)]
    assert [step for step, _ in seen] == list(walk.items)
    assert [rule for _, rule in seen] == [step.rule for step in walk]
    assert walk.summary in model.shown().sentence


@settings(max_examples=30)
@given(st.sampled_from(CHOICES["mode"]), st.sampled_from(CHOICES["client"]))
def test_without_the_rules_that_do_not_apply_each_step_does(mode, client):
    model = stepper(mode=mode, client=client)
    assert all(marked(one, "The way").matched for one in steps(model))
    assert model.steps < stepper(mode=mode, client=client, passed=True).steps


@pytest.mark.parametrize("mode", CHOICES["mode"])
def test_the_way_ends_at_each_endpoint_in_turn(mode):
    model = stepper(mode=mode)
    ends = []
    for _ in range(3):
        model.step = model.steps - 1
        ends.append(model.walk.backend)
        assert f"dst=10.0.255.250 sport=8080 dport={Packet('0.0.0.0', '0.0.0.0').source_port}" in (
            model.text
        )
        model.choose_again()
        assert model.step == 0
    assert sorted(ends) == ["10.0.128.21:8080", "10.0.128.22:8080", "10.0.144.21:8080"]
    assert model.walk.backend == ends[0]
    assert "Way 1 of 3, taken by 33.3% of connections." in model.shown().sentence


def test_the_addresses_before_and_after_are_shown():
    model = stepper()
    seen = [[row[1:3] for row in table(one, "The packet").rows.rows] for one in steps(model)]
    assert seen[0] == [("10.0.255.250:40000", "10.100.7.7:80")] * 2
    assert seen[-1] == [("10.0.255.250:40000", model.walk.backend)] * 2
    assert [before != after for before, after in seen].count(True) == 1


def test_what_is_masqueraded_leaves_with_the_nodes_address_and_any_port():
    model = stepper(service=CHOICES["service"][1], client="outside 203.0.113.9")
    model.step = model.steps - 1
    assert table(model, "The packet").rows.rows[1][1] == "10.0.128.10:any"


def test_ping_has_no_ports_and_is_not_translated():
    model = stepper(protocol="icmp")
    assert table(model, "The packet").rows.rows[0][1:3] == ("10.0.255.250", "10.100.7.7")
    model.step = model.steps - 1
    assert "goes on unchanged" in model.shown().sentence


def test_a_service_without_endpoints_rejects_and_tracks_no_connection():
    model = PacketStepper(scene([SERVICE], [], NODE, [rules("iptables", ())], A_POD))
    model.step = model.steps - 1
    assert "is rejected" in model.shown().sentence
    assert "connection tracking" not in model.text


def test_rules_that_say_nothing_leave_the_packet_as_it_is():
    model = PacketStepper(
        scene(
            [SERVICE],
            [SLICE],
            NODE,
            [kubeproxy.parse_dump("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")],
            A_POD,
        )
    )
    assert model.steps == 1
    assert "goes on unchanged" in model.shown().sentence


def test_of_a_long_chain_the_part_around_the_rule_is_shown():
    services, slices = kubeproxy.example(40, 1)
    known = kubeproxy.predict(services, slices, NODE, kubeproxy.Settings())
    model = PacketStepper(scene(services, slices, NODE, [known], A_POD), passed=True)
    model.service = "many/svc-20:http ClusterIP 10.100.16.20:80"
    whole = known.chains["nat", "KUBE-SERVICES"].rules
    for one in steps(model):
        chain = table(one, "Chain ")
        assert len(chain.rows) <= 9
        assert chain.rows.items[chain.marked] == one.path[one.step].rule
    assert f"of {len(whole)}" in "".join(table(one, "Chain ").caption for one in steps(model))


def test_a_changed_setting_leads_back_to_the_start():
    model = stepper()
    model.step = 3
    model.protocol = "icmp"
    assert model.step == 0


def test_rules_read_from_a_node_offer_their_own_mode_alone():
    shown = widgets.packet_stepper([SERVICE], [SLICE], NODE, rules=[rules("nftables")])
    assert shown.model.traits()["mode"].values == ("nftables",)
    assert view().model.traits()["mode"].values == ("iptables", "nftables")


def test_rules_of_both_modes_can_be_chosen_from_the_first_handed_in_on():
    # As the notebook does once it has read both: what is walked are these rules and no others.
    read = [rules("nftables"), rules("iptables")]
    model = widgets.packet_stepper([SERVICE], [SLICE], NODE, rules=read).model
    assert model.traits()["mode"].values == ("nftables", "iptables")
    assert model.mode == "nftables"
    for one in read:
        model.mode = one.mode
        assert model.scene.rules[model.mode] is one
        assert model.path[0].rule in one.chains[model.path[0].table, model.path[0].chain].rules


@pytest.mark.parametrize("services", [[], [{**SERVICE, "spec": {"clusterIP": "None"}}]])
def test_without_an_address_it_says_what_is_missing(services):
    with pytest.raises(EksnetError, match="0 addresses of Services") as caught:
        widgets.packet_stepper(services, [], NODE)
    assert "ClusterIP" in caught.value.next_step


def test_a_rule_that_may_apply_is_a_step_and_makes_the_end_uncertain():
    docker = "! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
    dump = f"*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {docker}\nCOMMIT\n"
    model = PacketStepper(scene([SERVICE], [SLICE], NODE, [kubeproxy.parse_dump(dump)], A_POD))
    assert marked(model, "The way").rule == docker
    assert "the rule may apply, cannot tell: incoming interface docker0" in model.text
    assert "cannot tell" in table(model, "The way").rows.rows[0]
    assert "uncertain, because 1 rule could not be evaluated" in model.shown().sentence


def test_a_keypress_follows_no_packet_anew():
    model = stepper()
    walks = model.walks
    model.forward()
    assert model.shown() and model.walks is walks
    model.client = CHOICES["client"][2]
    assert model.walks is not walks
