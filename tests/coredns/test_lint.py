"""The rules for Corefiles: each by the examples of its section in docs/corefile-rules.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import FILES

from eksnet.coredns.lint_rules import RULES
from eksnet.coredns.linting import ERROR, WARNING, is_refused, lint, summary
from eksnet.coredns.releases import epochs, option_since, order_of, plugins_of, release_of
from eksnet.errors import EksnetError
from eksnet.sandbox.seed import MANIFESTS

PAGE = (Path(__file__).parents[2] / "docs" / "corefile-rules.md").read_text()
SECTIONS = {
    text.partition("\n")[0]: text for text in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
SEVERITIES = {rule.id: rule.severity for rule in reversed(RULES)}


def examples(rule):
    """Return the wrong and the right example of a rule's section."""
    wrong, right = re.findall(r"^```text\n(.*?)^```$", SECTIONS[rule], re.MULTILINE | re.DOTALL)
    return wrong, right


def found(text, **known):
    return [one.rule for one in lint(text, **known)]


def test_each_rule_has_a_section_and_each_section_a_rule():
    assert list(SECTIONS) == list(dict.fromkeys(rule.id for rule in RULES))


@pytest.mark.parametrize("rule", SECTIONS)
def test_a_rule_finds_its_wrong_example_and_not_its_right_one(rule):
    wrong, right = examples(rule)
    assert rule in found(wrong)
    assert rule not in found(right)
    severity = {one.severity for one in lint(wrong) if one.rule == rule}
    assert severity == {SEVERITIES[rule]}
    assert SECTIONS[rule].split("\n\n")[1].startswith(SEVERITIES[rule].capitalize())


@pytest.mark.parametrize("rule", SECTIONS)
def test_coredns_refuses_the_wrong_example_of_an_error_and_takes_all_right_ones(rule, judge):
    wrong, right = examples(rule)
    said = judge(wrong, {"UPSTREAM": "10.0.0.2"})
    assert bool(said) == (SEVERITIES[rule] == ERROR), said
    assert judge(right) == ""


def test_in_what_eks_installs_nothing_is_found():
    import yaml

    documents = yaml.safe_load_all((MANIFESTS / "10-coredns.yaml").read_text())
    (text,) = [one["data"]["Corefile"] for one in documents if one["kind"] == "ConfigMap"]
    assert found(text) == []
    assert summary(lint(text)) == "Nothing was found."


HOSTS = ".:53 {\n ready\n hosts {\n  10.0.0.1 a\n  fallthrough\n }\n}\n"
LINES = {
    "a glued brace": (HOSTS.replace("hosts {", "hosts{"), "brace-space", 3),
    "a late entry": (
        HOSTS.replace("10.0.0.1 a\n  fallthrough", "fallthrough\n  10.0.0.1 a"),
        "entry-after-fallthrough", 5,
    ),
    "an option": (HOSTS.replace("ready", "health {\n  lame 5s\n }\n ready"), "unknown-option", 3),
    "a value": (HOSTS.replace("10.0.0.1 a", "ttl 0"), "plugin-words", 4),
    "a plugin": (HOSTS.replace("ready", "ready\n cahce"), "unknown-plugin", 3),
    "from a snippet": (
        "(s) {\n hosts {\n  10.0.0.2 b\n }\n}\n" + HOSTS.replace("ready", "ready\n import s"),
        "second-hosts", 9,
    ),
    "an import": (HOSTS.replace("ready", "ready\n import x.conf"), "not-mounted", 3),
    "a certificate": (HOSTS.replace("ready", "ready\n tls a.crt a.key"), "not-mounted", 3),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_finding_has_the_line_of_what_is_wrong(name, judge):
    text, rule, line = LINES[name]
    errors = [one for one in lint(text, files=FILES) if one.severity == ERROR]
    assert (rule, line) in [(one.rule, one.line) for one in errors]
    assert judge(text)


ANSWERS = [
    ("name exact a.example. b.example.", False),
    ("name exact a.example. b.example. answer name b\\.example\\. a.example.", False),
    ("name exact a.example. b.example. answer name c\\.example\\. a.example.", True),
    ("name exact a.example. b.example. answer name b\\.example\\. c.example.", True),
    ("name suffix .a.example .b.example answer auto", False),
    ("name suffix .a.example .b.example", True),
    ("name suffix .a.example. .b.example. answer name (.*)\\.b\\.example\\. {1}.a.example.", False),
    # The set-up puts a dot behind {1}, which has one.
    ("name prefix a b answer name b(.*) a{1}", True),
    ("name regex (.*)\\.a\\.example {1}.b.example", True),
    (
        "name regex (.*)\\.a\\.example {1}.b.example answer name (.*)\\.b\\.example {1}.a.example",
        False,
    ),
    (
        "name regex (.*)\\.a\\.example {1}.b.example answer name (.*)\\.c\\.example {1}.a.example",
        True,
    ),
    ("stop {\n name exact a. b.\n answer name b\\. a.\n }", False),
    ("stop {\n name exact a. b.\n answer name x\\. a.\n }", True),
    ("continue name substring a b answer auto", False),
    ("ttl example.org 30", False),
    ("name regex ( b", False),
]


@pytest.mark.parametrize(("rule", "wrong"), ANSWERS)
def test_an_answer_has_to_get_the_questions_name_back(rule, wrong):
    assert ("rewrite-answer" in found(f".:53 {{\n rewrite {rule}\n}}\n")) == wrong


SERVERS = [
    (".:53", "127.0.0.1", True),
    (".:53", "127.0.0.1:53", True),
    (".:53", "::1", True),
    (".:53", "[::1]:1053", False),
    (".:1053", "127.0.0.1", False),
    (".:1053", "127.0.0.1:1053", True),
    (".:53", "10.100.0.10", True),
    (".:53", "tls://127.0.0.1", False),
    (".:53", "/etc/resolv.conf", False),
    ("tls://.", "127.0.0.1", False),
]


@pytest.mark.parametrize(("key", "server", "wrong"), SERVERS)
def test_a_server_that_is_this_one(key, server, wrong):
    assert ("forward-self" in found(f"{key} {{\n forward . {server}\n}}\n")) == wrong


def test_another_address_of_the_service_can_be_named():
    text = ".:53 {\n ready\n forward . 10.9.9.9\n loop\n}\n"
    assert found(text) == []
    assert found(text, own=("10.9.9.9",)) == ["forward-self"]


def test_what_is_mounted_and_set_is_no_finding():
    text = ".:53 {\n ready\n import x.conf\n cache {$TTL}\n}\n"
    assert found(text) == ["unset-variable", "not-mounted"]
    known = {"files": ("/etc/coredns/x.conf",), "environment": {"TTL": "30"}}
    assert found(text, **known) == []
    assert found(text, **known | {"environment": {"TTL": "0"}}) == ["plugin-words"]


@pytest.mark.parametrize(
    ("release", "line", "rule"),
    [
        ("1.8.3", "minimal", "unknown-plugin"),
        ("1.8.4", "minimal", ""),
        ("1.14.3", "shed", "unknown-plugin"),
        ("1.14.7", "shed", ""),
        ("v1.11.4-eksbuild.2", "multisocket 2", "unknown-plugin"),
        ("1.12.0", "multisocket 2", ""),
        ("1.14.3", "kubernetes cluster.local {\n zonal\n}", "unknown-option"),
        ("1.14.7", "kubernetes cluster.local {\n zonal\n}", ""),
    ],
)
def test_what_a_release_does_not_have_is_unknown(release, line, rule):
    errors = [one.rule for one in lint(f".:53 {{\n{line}\n}}\n", release) if one.severity == ERROR]
    assert errors == ([rule] if rule else [])


def test_the_engines_release_knows_what_its_program_knows():
    import test_validity as validity

    assert plugins_of(release_of("1.14.3")) == validity.known_plugins()
    assert option_since("acl", "drop") == (1, 10, 1)


def test_the_order_of_the_engines_release_is_that_of_its_program():
    import csv

    from eksnet import data

    with (data.directory() / "coredns_plugin_order.csv").open() as file:
        compiled = [row["plugin"] for row in csv.DictReader(file)]
    order = order_of(release_of("1.14.3"))
    assert [name for name in compiled if name in order] == list(order)
    places = {one: order_of(release_of(one)) for one in ("1.14.1", *epochs())}
    acl = {one: names.index("acl") - names.index("rewrite") for one, names in places.items()}
    assert {one: place > 0 for one, place in acl.items()} == {
        "1.14.1": False, "1.8.0": False, "1.11.3": False, "1.14.2": True, "1.14.7": True,
    }  # fmt: skip
    assert places["1.14.7"].index("cache") > places["1.14.7"].index("acl")


@pytest.mark.parametrize("release", ["", "latest", "1.7.0", "1.14", "v1.x.y", "1.14.3; rm"])
def test_a_release_that_is_none_is_refused(release):
    if release:
        with pytest.raises(EksnetError, match="is not a release of CoreDNS"):
            lint(HOSTS, release)


@given(st.text(alphabet='{}"\\ \n\t#.:53hostscache,é\x00$%()import<', max_size=80))
def test_any_text_gives_findings_or_none(text):
    listing = lint(text)
    assert is_refused(listing) == any(one.severity == ERROR for one in listing)
    assert all(one.seen and one.fix and one.severity in (ERROR, WARNING) for one in listing)
