"""What an edit refuses for ConfigMap coredns; the real CoreDNS says whether it would start."""

import csv
import re
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eksnet import data
from eksnet.coredns.corefile import CorefileError
from eksnet.coredns.plugins import known_plugins
from eksnet.coredns.validity import check_corefile
from eksnet.errors import EksnetError
from eksnet.sandbox import build
from eksnet.sandbox.seed import MANIFESTS

INSTALLED = next(
    one["data"]["Corefile"]
    for one in yaml.safe_load_all((MANIFESTS / "10-coredns.yaml").read_text())
    if one["kind"] == "ConfigMap"
)
# The same where no cluster is: on ports that nobody uses, asking nobody.
ALONE = """\
.:0 {
    bind 127.0.0.1
    errors
    health 127.0.0.1:0
    ready 127.0.0.1:0
    kubernetes cluster.local {
        endpoint http://127.0.0.1:1
    }
    reload
}
"""


def put(lines):
    return ALONE.replace("    reload\n", f"    reload\n{lines}\n")


# What CoreDNS itself refuses, and a part of what the learner is told.
REFUSED = {
    "a misspelt plugin": (put("logg"), "line 10: CoreDNS 1.14.3 has no plugin 'logg'"),
    "a block without its server block": (
        "hosts {\n    10.43.0.1 myapp.local\n}\n",
        "line 2: CoreDNS 1.14.3 has no plugin '10.43.0.1'",
    ),
    "an entry after fallthrough": (
        put("hosts {\n fallthrough\n 10.43.0.1 myapp.local\n}"),
        "hosts has the entry '10.43.0.1' after fallthrough",
    ),
    "an entry after fallthrough for a zone": (
        put("hosts {\n 10.0.0.1 a.local\n fallthrough local\n 10.43.0.1 myapp.local\n}"),
        "hosts has the entry '10.43.0.1' after fallthrough",
    ),
    "hosts twice": (
        put("hosts {\n 10.0.0.1 a\n}\nhosts {\n 10.0.0.2 b\n}"),
        "line 13: hosts is used a second time",
    ),
    "cache twice": (put("cache 30\ncache 10"), "line 11: cache is used a second time"),
    "errors twice": (put("errors"), "line 10: errors is used a second time"),
    "bind twice": (put("bind 127.0.0.1"), "a server block serves dns://.:0 on 127.0.0.1 twice"),
    "an open brace": (ALONE.rstrip("}\n"), "is not closed"),
    "an open block": (put("hosts {\n 10.0.0.1 a").rstrip("}\n"), "is not closed"),
    "words after a brace": (
        put("hosts {\n 10.0.0.1 a\n } }"),
        "has a closing brace without an",
    ),
    "the same block twice": (
        ALONE.replace(":0 {\n    bind 127.0.0.1", ":59153 {") + ".:59153 {\n whoami\n}\n",
        "two server blocks serve dns://.:59153",
    ),
    "the brace of hosts on a line of its own": (
        put("hosts\n{\n 10.0.0.1 a\n}"),
        "line 11: hosts is used a second time in a server block, or its brace",
    ),
    "tsig twice": (put("tsig\ntsig"), "tsig is used a second time"),
    "a word for a text": ("a {\n    None\n}\n", "has no plugin 'None'"),
}
# What CoreDNS takes, and a cluster cannot live with.
REFUSED_FOR_THE_CLUSTER = {
    "empty": ("", "no server block"),
    "only a comment": ("# .:53\n", "no server block"),
    "the word None": ("None", "no server block has the plugin kubernetes"),
    "without kubernetes": (".:53 {\n ready\n health\n}\n", "has the plugin kubernetes"),
    "without ready": (INSTALLED.replace("    ready\n", ""), "has the plugin ready"),
    "without health": (
        INSTALLED.replace("    health {\n        lameduck 5s\n      }\n", ""),
        "has the plugin health",
    ),
}
TAKEN = {
    "alone": ALONE,
    "an entry": put("hosts {\n 10.43.0.1 myapp.local\n fallthrough\n}"),
    "options after fallthrough": put("hosts {\n 10.0.0.1 a\n fallthrough\n ttl 60\n no_reverse\n}"),
    "a file for hosts": put("hosts hosts {\n fallthrough\n}"),
    "plugins that may be used twice": put("log a.test\nlog b.test\nwhoami\nwhoami"),
    "bind twice": put("bind 127.0.0.2 127.0.0.3"),
    "two blocks of one zone, told apart": ALONE + ".:0 {\n bind 127.0.0.2\n whoami\n}\n",
    "two zones": ALONE + "a.test:0 b.test:0 {\n bind 127.0.0.1\n whoami\n}\n",
    # To CoreDNS these are two zones: only what it answers with is compared without case.
    "two keys that differ in case": ALONE
    + "a.test:0 {\n bind 127.0.0.1\n whoami\n}\nA.test:0 {\n bind 127.0.0.1\n whoami\n}\n",
    "a plugin's name as an argument": put("log log"),
    "a plugin's name inside its own block": put("hosts {\n 10.0.0.1 hosts\n fallthrough\n}"),
    "a server block that ends with a plugin's": put("hosts {\n 10.0.0.1 a"),
    "a comment in braces": put("# hosts {"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_coredns_refuses_too(ask_coredns, name):
    corefile, told = REFUSED[name]
    with pytest.raises(CorefileError) as refused:
        check_corefile(corefile)
    assert told in refused.value.seen
    assert not ask_coredns(corefile).started


@pytest.mark.parametrize("name", REFUSED_FOR_THE_CLUSTER)
def test_what_a_cluster_cannot_live_with_is_refused(name):
    corefile, told = REFUSED_FOR_THE_CLUSTER[name]
    with pytest.raises(CorefileError) as refused:
        check_corefile(corefile)
    assert told in refused.value.seen


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_passed_coredns_starts_with(ask_coredns, name):
    assert check_corefile(TAKEN[name]) == ""
    assert ask_coredns(TAKEN[name]).started


def test_what_eks_installs_passes():
    check_corefile(INSTALLED)


FILES = "import custom/*.override"
REMARKS = {
    "a file in the server block": (
        put(FILES),
        "line 10 imports custom/*.override, which cannot be seen from here: if that has errors, "
        "ready or kubernetes too, CoreDNS refuses the second one",
    ),
    "a file beside the server blocks": (
        ALONE + "import custom/*.server\n",
        "line 11 imports custom/*.server, which cannot be seen from here",
    ),
    "a file with all that is needed": (
        f".:0 {{\n bind 127.0.0.1\n {FILES}\n}}\n",
        "line 3 imports custom/*.override, which cannot be seen from here",
    ),
    "variables": (put("log {$NAME} {%OTHER%}"), "the values of NAME, OTHER cannot be seen"),
}


@pytest.mark.parametrize("name", REMARKS)
def test_what_comes_from_elsewhere_passes_with_a_word_about_it(ask_coredns, name):
    corefile, told = REMARKS[name]
    assert told in check_corefile(corefile)
    assert ask_coredns(corefile).started


def test_what_a_snippet_brings_counts(ask_coredns):
    corefile = "(s) {\n    errors\n}\n" + put("import s")
    with pytest.raises(CorefileError, match="line 2: errors is used a second time"):
        check_corefile(corefile)
    assert not ask_coredns(corefile).started
    taken = "(s) {\n    errors\n}\n" + put("import s").replace(
        "    errors\n    health", "    health"
    )
    assert check_corefile(taken) == ""
    assert ask_coredns(taken).started


@given(st.text(alphabet='{}"\\ \n\t#.:53hostscache,é\x00', max_size=60))
def test_any_text_passes_or_is_refused_in_words(text):
    try:
        check_corefile(text)
    except EksnetError as refused:
        assert refused.seen


def test_the_plugins_of_the_table_are_those_that_the_program_has():
    program = next(one for one in build.status() if one.name == "coredns")
    listed = subprocess.run([program.path, "-plugins"], capture_output=True, text=True, check=True)
    names = {line.strip().removeprefix("dns.") for line in listed.stdout.splitlines()}
    assert known_plugins() == names - {""}
    assert {row["plugin"] for row in SECOND_USES} == names - {""}


SECOND_USES = list(csv.DictReader((data.directory() / "coredns_plugin_uses.csv").open()))
# The shortest lines of those that need any, such as start where no cluster and no network is.
LINES = {
    "acl": "acl {\n block net 10.0.0.0/8\n}", "auto": "auto", "autopath": "autopath resolv.conf",
    "azure": "azure group:zone", "bind": "bind 127.0.0.1", "clouddns": "clouddns a.test:b:c",
    "dnssec": "dnssec", "dnstap": "dnstap tcp://127.0.0.1:1", "errors": "errors",
    "etcd": "etcd", "file": "file db.test", "forward": "forward . 127.0.0.1:1",
    "geoip": "geoip db.test", "grpc": "grpc . 127.0.0.1:1", "health": "health 127.0.0.1:0",
    "header": "header {\n response set aa\n}", "k8s_external": "k8s_external",
    "kubernetes": "kubernetes {\n endpoint http://127.0.0.1:1\n}", "on": "on startup true",
    "pprof": "pprof 127.0.0.1:0", "prometheus": "prometheus 127.0.0.1:0",
    "proxyproto": "proxyproto {\n allow 10.0.0.0/8\n}", "ready": "ready 127.0.0.1:0",
    "rewrite": "rewrite name a.test b.test", "root": "root .",
    "secondary": "secondary a.test {\n transfer from 127.0.0.1\n}",
    "sign": "sign db.test {\n key file K\n}", "template": "template IN A",
    "timeouts": "timeouts {\n read 5s\n}", "tls": "tls a b",
    "transfer": "transfer {\n to 127.0.0.1\n}", "tsig": "tsig", "view": "view a {\n expr true\n}",
    "multisocket": "multisocket 1", "dns64": "dns64", "nomad": "nomad",
}  # fmt: skip


OTHER_LINES = {"azure": "azure group:other", "bind": "bind 127.0.0.2"}


@pytest.mark.parametrize("row", SECOND_USES, ids=lambda row: row["plugin"])
def test_what_coredns_makes_of_a_second_use(ask_coredns, row):
    """A second use is refused where it brings another complaint than the first alone."""
    line = LINES.get(row["plugin"], row["plugin"])
    second = OTHER_LINES.get(row["plugin"], line)
    first = ask_coredns(f".:0 {{\n{line}\n}}\n")
    both = ask_coredns(f".:0 {{\n{line}\n{second}\n}}\n")
    refused = complaint(both) != complaint(first)
    assert refused == (row["second_use"] == "refused"), both.log
    if "ErrOnce" in row["source"] and row["plugin"] != "tsig":
        assert "this plugin can only be used once per Server Block" in both.log


def complaint(said):
    """Return the error with which CoreDNS ended, without its place; empty when it started."""
    if said.started:
        return ""
    return re.sub(r"Corefile:\d+ - ", "", said.log.strip().splitlines()[-1])
