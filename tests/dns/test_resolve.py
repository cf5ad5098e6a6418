"""`eksnet resolve` without a cluster; tests/coredns/test_dns_live.py observes with it."""

import json
import subprocess
import sys

import pytest

from eksnet import dns

SERVICE = "my-service.app-ns.svc.cluster.local"


def resolve(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "eksnet.cli", "resolve", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["my-service"], 0, dns.candidates("my-service", dns.pod_resolv_conf("ops-ns"))),
        (["my-service", "--exists", SERVICE], 1,
         dns.candidates("my-service", dns.pod_resolv_conf("ops-ns"))),
        (["my-service.app-ns", "--exists", SERVICE], 0,
         ("my-service.app-ns.ops-ns.svc.cluster.local", SERVICE)),
        (["my-service.app-ns", "--exists", SERVICE, "--profile", "busybox"], 1,
         ("my-service.app-ns",)),
        (["my-service.app-ns", "--ndots", "1", "--profile", "musl"], 0, ("my-service.app-ns",)),
    ],
)  # fmt: skip
def test_the_prediction_as_json_and_its_exit_code(arguments, code, names):
    done = resolve(*arguments, "--from", "ops-ns", "--json")
    assert (done.returncode, done.stderr) == (code, "")
    said = json.loads(done.stdout)
    assert set(said) == {"predicted"}
    assert [one["name"] for one in said["predicted"] if one["rdtype"] == "A"] == list(names)
    exists = SERVICE in names
    answers = {(one["name"], one["rdtype"]): one["answer"] for one in said["predicted"]}
    assert answers.get((SERVICE, "A")) == ("answer" if exists else None)


def test_the_table_has_the_rows_of_the_walk():
    done = resolve("my-service.app-ns", "--from", "ops-ns", "--exists", SERVICE)
    walk = dns.search_walk("my-service.app-ns", dns.pod_resolv_conf("ops-ns"), {SERVICE})
    rows = [tuple(line.split()) for line in done.stdout.splitlines()]
    assert set(walk.rows) <= set(rows)
    assert f"predicted: {walk.query_count} queries" in done.stdout
    assert walk.why in done.stdout
    assert "--exists" not in done.stdout


def test_a_prediction_for_a_name_that_nobody_has_says_so():
    assert "--exists FULL-NAME" in resolve("my-service", "--from", "ops-ns").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a", "--profile", "windows"], "no resolver profile 'windows'"),
        (["a", "--live", "--profile", "windows"], "no resolver profile 'windows'"),
        (["a", "--live", "--exists", "a"], "--live with --exists"),
        (["a b", "--live"], "'a b' cannot be asked: it has ' ' in it"),
        (["--", "-a"], "it starts with a hyphen"),
        (["\x1b[31mred"], r"'\x1b[31mred' cannot be asked"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, says):
    done = resolve("--from", "ops-ns", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "expected: " in done.stderr


@pytest.mark.parametrize(
    ("name", "profile", "count", "why"),
    [
        ("10.0.0.1", "glibc", 0, "10.0.0.1 is an address: glibc queries nothing"),
        ("10.0.0.1", "busybox", 1, "busybox queries its name (PTR), without the search list"),
        (".", "musl", 0, "musl queries nothing: it has no label"),
        (".", "go", 2, "final dot"),
        ("redis..svc.cluster.local", "glibc", 0, "glibc queries nothing: it has an empty label"),
        ("a" * 70, "busybox", 0, "busybox queries nothing: its label 'aaa"),
    ],
)
def test_each_resolver_has_its_own_way_with_what_is_no_usual_name(name, profile, count, why):
    done = resolve(name, "--from", "ops-ns", "--profile", profile)
    assert done.returncode == 0
    assert f"predicted: {'1 query' if count == 1 else f'{count} queries'}\n" in done.stdout
    assert why in " ".join(done.stdout.split())
