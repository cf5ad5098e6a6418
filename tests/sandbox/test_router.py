"""The router by itself, in namespaces: it follows the file, also one that begins again."""

import json
import subprocess
import sys

import pytest
from wanted import (
    IN_NAMESPACES,
    balancer,
    desired,
    listener,
    network_balancer,
    seen,
    target,
    target_group,
)

from eksnet.sandbox import components
from eksnet.sandbox.paths import Paths
from eksnet.sandbox.vpc import plan

VPC = plan()
FIRST = ["10.0.0.21", "203.0.113.21"]
SCRIPT = """
import json, os, subprocess, sys
from pathlib import Path
from eksnet.sandbox import balancing, filters, mounts, network
from eksnet.sandbox.paths import Paths
from eksnet.sandbox.router import Router
from eksnet.sandbox.vpc import plan

mounts.make_private()
paths, vpc, log = Paths(Path(sys.argv[1])), plan(), []
paths.run.mkdir(parents=True)
paths.load_balancers.mkdir(parents=True)

def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout

def seen():
    return {
        "addresses": sorted(map(str, network.balancer_addresses(vpc))),
        "balanced": run("nft", "list", "table", "ip", balancing.TABLE).count("dnat"),
        "handle": run("nft", "-a", "list", "table", "inet", filters.TABLE).splitlines()[:1],
        "filtered": "vmap" in run("nft", "list", "table", "inet", filters.TABLE),
        "internet": os.path.ismount(paths.internet),
        "log": list(log),
    }

def file(text, place=paths.load_balancers / "desired.json"):
    draft = place.with_name("draft")
    draft.write_text(text)
    draft.rename(place)

router = Router(paths, vpc, log.append)
said = []
for action, text in json.loads(sys.stdin.read()):
    if action == "prepare":
        router.prepare()
    elif action == "again":
        router = Router(paths, vpc, log.append)
        router.follow()
    else:
        if action == "observe":
            file(text, paths.observed / "observed.json")
        else:
            file(text)
        router.follow()
    said.append(seen())
there = ["nsenter", f"--net={paths.internet}", "ip", "-4", "-o", "addr", "show", "dev", "eth0"]
print(json.dumps([said, run(*there), run("ip", "route", "get", "203.0.113.99")]))
"""


def follow(state, *actions):
    """Have a router do actions; return what there is after each, and what the internet has."""
    done = subprocess.run(
        [*IN_NAMESPACES, sys.executable, "-c", SCRIPT, str(state)],
        input=json.dumps(actions), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write(wanted):
    return "write", json.dumps(wanted) if isinstance(wanted, dict) else wanted


def test_a_router_follows_what_is_wanted(tmp_path):
    moved = desired(balancers=[balancer(zones=[("10.0.16.22", None)])])
    said, internet, _ = follow(
        tmp_path, ("prepare", ""), write(desired()), write(moved), write(desired(balancers=[]))
    )
    assert [one["addresses"] for one in said] == [[], FIRST, ["10.0.16.22"], []]
    assert [one["filtered"] for one in said] == [False, True, True, True]
    # Made with the first load balancer, and kept.
    assert [one["internet"] for one in said] == [False, True, True, True]
    assert "198.51.100.10/24" in internet
    assert said[-1]["log"] == []


def test_a_router_that_begins_again_goes_on(tmp_path):
    two = desired(balancers=[balancer(zones=[("10.0.16.22", None)])])
    said, *_ = follow(
        tmp_path, ("prepare", ""), write(desired()), ("again", ""), ("again", ""), write(two)
    )
    assert [one["addresses"] for one in said] == [[], FIRST, FIRST, FIRST, ["10.0.16.22"]]
    assert said[-1]["log"] == []


def observe(states):
    return "observe", json.dumps(seen(states)) if isinstance(states, dict) else states


def test_a_router_follows_what_is_seen_of_targets(tmp_path):
    made = desired(
        balancers=[network_balancer(listener())], target_groups=[target_group(target("10.0.129.7"))]
    )
    key = "10.0.129.7:8080"
    said, *_ = follow(
        tmp_path, ("prepare", ""), write(made), observe({key: "initial"}),
        observe({key: "healthy"}), observe({key: "healthy", "10.0.0.9:1": "healthy"}),
        ("again", ""), observe("{"), observe({key: "unhealthy"}), observe({}),
        write(desired(balancers=[])),
    )  # fmt: skip
    # One chain for both addresses, since their targets are the same; hooks and sources beside it.
    counts = [one["balanced"] for one in said]
    assert counts == [0, *counts[1:3], *[counts[3]] * 5, counts[1], 0]
    assert counts[1] == counts[2] < counts[3]
    # What changes nothing for the router replaces no table.
    handles = [one["handle"] for one in said]
    assert handles[3] == handles[4] != handles[2]
    (line,) = said[-1]["log"]
    assert line.startswith("the router cannot apply the desired state: ")


BROKEN = [
    "",
    "[]",
    "{}",
    json.dumps(desired() | {"load_balancers": [{"name": "x"}]}),
    json.dumps(desired() | {"interfaces": [{"id": "e", "addresses": ["x"], "groups": []}]}),
    # What nft refuses.
    json.dumps(desired(more=[{"id": "{", "addresses": ["10.0.0.77"], "groups": ["sg-cluster"]}])),
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_cannot_be_read_changes_nothing_and_is_told_once(tmp_path, text):
    said, *_ = follow(tmp_path, ("prepare", ""), write(desired()), write(text), write(text),
                      write(desired(balancers=[])))  # fmt: skip
    assert [one["addresses"] for one in said] == [[], FIRST, FIRST, FIRST, []]
    (line,) = said[-1]["log"]
    assert line.startswith("the router cannot apply the desired state: ")


def test_a_start_forgets_what_an_earlier_one_observed(tmp_path):
    paths = Paths(tmp_path)
    paths.observed.mkdir(parents=True)
    paths.run.chmod(0o700)
    for name in ("observed.json", "zone"):
        (paths.observed / name).write_text("old")
    paths.internet.write_text("")
    done = subprocess.run(
        [*IN_NAMESPACES, sys.executable, "-c", SCRIPT.replace("mkdir(parents=True)",
         "mkdir(parents=True, exist_ok=True)"), str(tmp_path)],
        input='[["prepare", ""]]', capture_output=True, text=True, check=True,
    )  # fmt: skip
    _, _, route = json.loads(done.stdout)
    written = {one.name: one.read_text() for one in paths.observed.iterdir()}
    assert written == {
        "zone": components.empty_zone("ap-northeast-2.elb.amazonaws.com"),
        "network-zone": components.empty_zone("elb.ap-northeast-2.amazonaws.com"),
    }
    assert not paths.internet.exists()
    # Packets to a public address that nobody has are lost.
    assert route == ""
