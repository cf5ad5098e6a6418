"""How many rules there are, against kube-proxy's own tests and against arithmetic."""

import pytest

from eksnet.kubeproxy import Node, Settings, example, predict, predict_rule_counts, rules_per_table

# Kind, Services, endpoints of each, rules in filter and in nat: kube-proxy 1.35.4 asserts them of
# itself, pkg/proxy/iptables/number_generated_rules_test.go.
PUBLISHED = [
    ("ClusterIP", 0, 0, 4, 5),
    ("ClusterIP", 1, 0, 5, 5),
    ("ClusterIP", 1, 1, 4, 10),
    ("ClusterIP", 1, 2, 4, 13),
    ("ClusterIP", 1, 10, 4, 37),
    ("ClusterIP", 10, 0, 14, 5),
    ("ClusterIP", 10, 1, 4, 55),
    ("ClusterIP", 10, 2, 4, 85),
    ("ClusterIP", 10, 10, 4, 325),
    ("LoadBalancer", 0, 0, 4, 5),
    ("LoadBalancer", 1, 0, 8, 5),
    ("LoadBalancer", 1, 1, 5, 18),
    ("LoadBalancer", 1, 2, 5, 21),
    ("LoadBalancer", 1, 10, 5, 45),
    ("LoadBalancer", 10, 0, 44, 5),
    ("LoadBalancer", 10, 1, 14, 135),
    ("LoadBalancer", 10, 2, 14, 165),
    ("LoadBalancer", 10, 10, 14, 405),
]


def balanced(services):
    """Make Services as that test does: an external and a load balancer's address, one range."""
    for number, service in enumerate(services):
        service["spec"] |= {
            "type": "LoadBalancer",
            "externalIPs": ["1.2.3.4"],
            "loadBalancerSourceRanges": [" 1.2.3.4/28"],
        }
        service["spec"]["ports"][0]["nodePort"] = 30000 + number
        service["status"] = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    return services


@pytest.mark.parametrize(("kind", "services", "endpoints", "in_filter", "in_nat"), PUBLISHED)
def test_the_published_counts(kind, services, endpoints, in_filter, in_nat):
    """The counts are those that 1.35.4 asserts of itself.

    The course's list of published counts is of an earlier release of the same test, which has one
    rule fewer in filter, and two fewer in nat for each Service of type LoadBalancer with endpoints:
    3 and 5 without any Service where 1.35.4 has 4 and 5, 4 and 16 for one where it has 5 and 18.
    """
    objects, found = example(services, endpoints)
    objects = balanced(objects) if kind == "LoadBalancer" else objects
    node, settings = Node("node", ("192.168.0.2",)), Settings(cluster_cidr="10.0.0.0/8")
    assert rules_per_table(predict(objects, found, node, settings)) == {
        "filter": in_filter,
        "nat": in_nat,
    }


@pytest.mark.parametrize("endpoints", [1, 2, 5])
def test_the_formulas_of_rule_counts(endpoints):
    few, some, many = predict_rule_counts([0, 7, 200], endpoints)
    assert few.rules == 5 + 4
    assert [one.rules - few.rules for one in (some, many)] == [
        number * (1 + 3 * endpoints) for number in (7, 200)
    ]
    few, some, many = predict_rule_counts([0, 7, 200], endpoints, Settings(mode="nftables"))
    assert [one.rules - few.rules for one in (some, many)] == [
        number * (1 + 2 * endpoints) for number in (7, 200)
    ]
    # An element of the map service-ips and one of the set cluster-ips for each Service.
    assert [one.elements - few.elements for one in (some, many)] == [14, 400]


def test_what_a_first_packet_meets_grows_in_mode_iptables_alone():
    few, many = predict_rule_counts([10, 110])
    assert many.met - few.met == 100
    few, many = predict_rule_counts([10, 110], settings=Settings(mode="nftables"))
    assert many.met == few.met


def test_many_endpoints_take_the_comments_away():
    small, large = (
        predict(*example(1, endpoints), Node("node", ("10.0.128.10",)))
        for endpoints in (1000, 1001)
    )
    said = [
        sum("->" in rule for chain in rules.chains.values() for rule in chain.rules)
        for rules in (small, large)
    ]
    assert said == [1000, 0]
