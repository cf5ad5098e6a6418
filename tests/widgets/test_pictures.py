"""The pictures: what is drawn, what is said of it, and that none of it runs out of its place."""

import base64
import itertools
import re
import subprocess
import sys
from xml.etree import ElementTree

import demo
import pytest
import shop
import test_balancer_tree as balancers
from lab import contrast

from eksnet import dns, kubeproxy, picture, widgets
from eksnet.dns.walk import walk
from eksnet.errors import EksnetError
from eksnet.kubeproxy import LookupTime, Packet
from eksnet.loadbalancer.planned import Stack
from eksnet.widgets import CorednsMemory, CorednsReplicas

SVG = "{http://www.w3.org/2000/svg}"
CONF = dns.pod_resolv_conf("ops-ns")
SERVICE = "my-service.app-ns.svc.cluster.local"
FOUND = dns.search_walk("my-service.app-ns", CONF, {SERVICE})
LONG = dns.search_walk(".".join(["label-of-twenty-char"] * 8), CONF)
LOOKUPS = [
    *(LookupTime("iptables", n, m) for n, m in ((5000, 92.4), (10, 14.2), (1000, 29.0))),
    *(LookupTime("nftables", n, 14.0) for n in (10, 1000, 5000)),
]


def packet(source="10.0.255.250", destination="10.100.7.7", port=80, slices=(shop.SLICE,)):
    """The way of a packet through the shop's node."""
    rules = shop.rules("iptables", slices)
    return kubeproxy.packet_walks(rules, Packet(source, destination, port), shop.NODE)[0].matched


def chart_of(model):
    """The chart in the panel of a model."""
    return next(part for part in model.panel().parts if isinstance(part, picture.Picture))


PICTURES = {
    "a ladder": widgets.ladder(FOUND),
    "a ladder of rows": widgets.ladder(walk([("a.b", False), (SERVICE, True)])),
    "a ladder of long names": widgets.ladder(LONG),
    "a ladder of no queries": widgets.ladder(walk([])),
    "a chart": widgets.curve(LOOKUPS),
    "a chart of nothing but 0": widgets.curve([LookupTime("iptables", 0, 0.0)]),
    "a chart of memory": chart_of(CorednsMemory(measured=demo.MEASURED)),
    "a chart of memory with autopath": chart_of(CorednsMemory(autopath=True)),
    "a chart of much memory": chart_of(CorednsMemory(pods=5_000_000, measured=demo.MEASURED)),
    "a chart of replicas": chart_of(CorednsReplicas()),
    "a chart of many replicas": chart_of(CorednsReplicas(nodes=5_000, cores=448)),
    "a path": widgets.packet_path(packet()),
    "a path with a step": widgets.packet_path(packet(), 2),
    "a path to a process": widgets.packet_path(packet(destination="10.0.128.10", port=22), 0),
    "a path from a process": widgets.packet_path(packet(source="10.0.128.10"), 0),
    "a path of a process to another": widgets.packet_path(
        packet("10.0.128.10", "10.0.128.10", 22), 0
    ),
    "a path that ends": widgets.packet_path(packet(slices=()), 0),
    "a load balancer": widgets.reconciling(),
    "a load balancer with long ports": widgets.reconciling(65_535, 65_535),
    "a planned load balancer": widgets.balancer_tree(balancers.stack()),
    "a planned load balancer of many rules": widgets.balancer_tree(
        balancers.stack(
            *(
                balancers.rule(n, "path-pattern /" + "x" * 90, "forward to a/web:80")
                for n in range(9)
            ),
            targets=9,
        )
    ),
    "a load balancer that is not built": widgets.balancer_tree(
        Stack("a/b", "ingress", ("a/b",), None, None)
    ),
}


@pytest.fixture(params=PICTURES)
def drawn(request):
    return PICTURES[request.param]


def root(drawn):
    return ElementTree.fromstring(drawn.svg)


def words(drawn):
    return [element.text for element in root(drawn).iter(f"{SVG}text")]


def test_it_is_an_image_with_a_name_for_those_who_do_not_see_it(drawn):
    top = root(drawn)
    assert (top.get("role"), top.get("aria-label")) == ("img", drawn.spoken)
    assert top.find(f"{SVG}title").text == drawn.caption
    assert drawn.spoken.startswith(drawn.caption)


def test_all_text_and_lines_are_within_it(drawn):
    width, height = drawn.size
    for element in root(drawn).iter(f"{SVG}text"):
        x, y, room = float(element.get("x")), float(element.get("y")), 0
        room = len(element.text) * picture.LETTER
        left = x - room * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        assert left >= 0 and left + room <= width and 12 <= y <= height - 3, element.text
    for element in root(drawn).iter():
        for point in element.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width and 0 <= y <= height


def test_as_an_image_it_is_the_same_drawing_and_the_twin_stands_below(drawn):
    html = drawn._repr_html_()
    (source,) = re.findall(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,([^"]*)">', html)
    assert base64.b64decode(source).decode() == drawn.svg
    assert "<svg" not in html
    assert f"<details><summary>The same in text</summary>{drawn.twin._repr_html_()}" in html
    assert repr(drawn) == repr(drawn.twin)
    assert drawn.svg in drawn.inline


def test_it_is_the_same_in_another_process_and_loads_no_ipywidgets():
    code = """
import sys
from eksnet import dns, widgets
found = dns.search_walk("a", dns.pod_resolv_conf("x"), {"a.x.svc.cluster.local"})
sys.stdout.write(widgets.ladder(found)._repr_html_())
assert "ipywidgets" not in sys.modules
"""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True) for _ in range(2)]
    conf = dns.pod_resolv_conf("x")
    here = widgets.ladder(dns.search_walk("a", conf, {"a.x.svc.cluster.local"}))._repr_html_()
    assert [run.stdout.decode() for run in runs] == [here, here], runs[0].stderr


def test_markup_in_a_name_is_text():
    odd = widgets.ladder(walk([('a"<b>&', False)]))
    assert any('a"<b>&' in one for one in words(odd))
    assert "<b>" not in odd._repr_html_()


@pytest.mark.parametrize("colour", re.findall(r"color:(#\w{6})", picture._STYLE))
@pytest.mark.parametrize("ground", [(255, 255, 255), (17, 17, 17)])
def test_lines_have_contrast_in_both_themes(colour, ground):
    ours = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    assert contrast(ours, list(ground)) >= 3


def test_a_ladder_has_a_rung_for_each_query_with_name_type_and_reply():
    assert repr(PICTURES["a ladder"]).splitlines() == [
        "The queries",
        "order  query name                                  rdtype  reply",
        "1      my-service.app-ns.ops-ns.svc.cluster.local  A       ✗ NXDOMAIN",
        "2      my-service.app-ns.ops-ns.svc.cluster.local  AAAA    ✗ NXDOMAIN",
        "3      my-service.app-ns.svc.cluster.local         A       ✓ answer",
        "4      my-service.app-ns.svc.cluster.local         AAAA    ∅ NODATA",
    ]
    seen = words(PICTURES["a ladder"])
    assert seen[:2] == ["pod", "DNS server"]
    assert f"3  A  {SERVICE}" in seen and "✓ answer" in seen and "∅ NODATA" in seen
    assert f"3. A {SERVICE}: answer" in PICTURES["a ladder"].spoken
    assert len(list(root(PICTURES["a ladder"]).iter(f"{SVG}polygon"))) == 8


def test_where_nothing_comes_back_no_answer_is_drawn():
    silent = dns.search_walk("a.", CONF, answers={"a": "TIMEOUT"})
    rungs = widgets.ladder(silent)
    assert len(list(root(rungs).iter(f"{SVG}polygon"))) == len(silent.questions)
    assert f"A, {silent.questions[0].sent} times" in repr(rungs)


def test_a_walk_whose_queries_are_not_known_has_a_rung_for_each_name():
    assert repr(PICTURES["a ladder of rows"]).splitlines()[2:] == [
        "1      a.b                                  A, AAAA  ✗ NXDOMAIN",
        "2      my-service.app-ns.svc.cluster.local  A, AAAA  ✓ answer",
    ]


def test_a_long_name_is_cut_at_its_dots():
    shown = [one for one in words(PICTURES["a ladder of long names"]) if "label" in one]
    assert all(one.endswith((".", "char", "local", "internal")) for one in shown)


def test_a_chart_has_its_points_where_the_figures_are():
    chart = root(PICTURES["a chart"])
    (first, *_) = [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in chart.iter(f"{SVG}polyline")
        if "here" in line.get("class")
    ]
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in chart.iter(f"{SVG}circle")]
    assert first == circles
    heights = [264 - y for _, y in first]
    # The axis ends at 100 microseconds, 230 pixels up.
    assert heights == pytest.approx([2.3 * m for m in (14.2, 29.0, 92.4)], abs=0.1)
    assert [x - 64 for x, _ in first] == pytest.approx([0.7, 73.2, 366], abs=0.1)
    seen = words(PICTURES["a chart"])
    assert {"0", "20", "100", "1000", "5000", "microseconds", "services"} <= set(seen)
    assert {"iptables 92", "nftables 14"} <= set(seen)


def test_each_line_of_a_chart_has_a_stroke_and_a_shape_of_its_own():
    four = [LookupTime(name, n, n + at) for at, name in enumerate("abcd") for n in (1, 2)]
    svg = widgets.curve(four).svg
    pens = re.findall(r'class="stroke (?:here|odd|good|bad)" points="[^"]*"([^/]*)/>', svg)
    assert len(pens) == len(set(pens)) == 4
    shapes = re.findall(r'<polygon class="tip \w+" points="([^"]*)"', svg)
    assert svg.count("<circle") == 2 and len({len(one.split()) for one in shapes}) == 2
    assert len(shapes) == 6


@pytest.mark.parametrize("names", ["", "abcde"])
def test_a_chart_of_none_or_too_many_lines_is_refused(names):
    with pytest.raises(EksnetError, match=f"{len(names)} lines to draw"):
        widgets.curve([LookupTime(name, 1, 1.0) for name in names])


def test_rule_counts_are_drawn_by_the_rules_that_are_met():
    chart = widgets.curve(
        kubeproxy.predict_rule_counts([10, 100]), y="met", axes=("Services", "rules met")
    )
    assert repr(chart).splitlines() == [
        "Rules met by number of services", "mode      Services  rules met",
        "iptables  10        23", "iptables  100       113",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "a path with a step",
            "client (10.0.255.250:40000) → ▶ prerouting (steps 1-4) → forward (steps 5-8) → "
            "postrouting (steps 9-10) → endpoint (10.0.128.21:8080)",
        ),
        (
            "a path to a process",
            "client (10.0.255.250:40000) → ▶ prerouting (steps 1-2) → input (steps 3-6) → "
            "process of the node (10.0.128.10:22)",
        ),
        (
            "a path that ends",
            "client (10.0.255.250:40000) → ▶ prerouting (step 1) → forward (steps 2-5) → "
            "✗ rejected (goes no further)",
        ),
    ],
)
def test_a_path_in_words(name, said):
    assert repr(PICTURES[name]).splitlines()[1] == said


def test_the_current_step_is_marked_in_its_hook_and_told():
    walk = packet()
    for here, step in enumerate(walk):
        drawn = widgets.packet_path(walk, here)
        marked = [one for one in words(drawn) if one.startswith("▶")]
        assert marked[0] == f"▶ {step.hook}"
        assert marked[1].startswith(f"▶ step {here + 1} of {len(walk)}: {step.hook}")
        assert drawn.svg.count("stroke here") > 1
    assert not any("▶" in one for one in words(PICTURES["a path"]))


def test_what_lies_ahead_is_dashed_until_the_last_step():
    walk = packet()
    ahead = [widgets.packet_path(walk, n).svg.count("dasharray") for n in range(len(walk))]
    assert ahead == sorted(ahead, reverse=True) and ahead[0] > ahead[-1] == 0


def test_a_packet_that_is_turned_away_reaches_no_endpoint():
    drawn = PICTURES["a path that ends"]
    assert "✗ rejected" in words(drawn)
    assert drawn.svg.count("stroke bad") == 1


def test_every_hook_of_every_way_of_the_shop_is_drawn():
    choices = [shop.stepper().traits()[name].values for name in ("client", "service")]
    for client, service in itertools.product(*choices):
        walk = shop.stepper(client=client, service=service).walk.matched
        shown = words(widgets.packet_path(walk))
        assert [hook for hook in walk.hooks if hook not in shown] == []
        assert walk.backend.partition(":")[0] in shown
