"""Faults at random for ten minutes: after each, the lab goes on, or one command mends it."""

import os
import random
import time

import faults
import pytest
from hostside import members, mounts_and_links

import eksnet
from eksnet.sandbox import holder, lifecycle, paths

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))


def kill_a_component(chance):
    name = chance.choice(faults.COMPONENTS)
    pid = faults.component_pid(name, chance)
    faults.kill(pid)
    return f"kill -9 of {name}"


def kill_a_node(chance):
    node = chance.choice(["node1", "node2"])
    faults.kill(faults.node_process(node))
    return f"kill -9 of {node}"


def kill_the_supervisor(_chance):
    faults.kill(holder.children(faults.holder())[0])
    return "kill -9 of the supervisor"


def kill_the_holder(_chance):
    supervisor = os.pidfd_open(holder.children(faults.holder())[0])
    faults.kill(faults.holder())
    # With it, the kernel ends the supervisor and all that is inside.
    assert holder._ends(supervisor, 20)
    os.close(supervisor)
    return "kill -9 of the holder"


def suspend_for_a_while(chance):
    # Longer than the 40 s after which a node that says nothing is called unready, or shorter.
    seconds = chance.choice([1, 5, 50])
    stopped = faults.suspend()
    time.sleep(seconds)
    faults.resume(stopped)
    return f"suspended for {seconds} s"


def down_and_up(_chance):
    lifecycle.down()
    return "down"


SLEEPS = """
apiVersion: v1
kind: Pod
metadata: {name: sleeps}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: busybox, command: [sleep, infinity]}]
"""
FAULTS = {
    kill_a_component: 6,
    kill_a_node: 2,
    kill_the_supervisor: 1,
    kill_the_holder: 1,
    suspend_for_a_while: 1,
    down_and_up: 1,
}


@pytest.mark.soak
@pytest.mark.sandbox
def test_a_night_with_the_lid_closed(cluster):
    """Longer than the 40 s after which a node that says nothing is called unready."""
    before = {name: faults.restarts(name) for name in lifecycle.status().components}
    cluster.apply(SLEEPS)
    cluster.wait("pod/sleeps")
    container = cluster.get("pod/sleeps")["status"]["containerStatuses"][0]["containerID"]
    stopped = faults.suspend()
    time.sleep(50)
    faults.resume(stopped)
    faults.assert_goes_on(cluster)
    faults.until("all is whole", lambda: lifecycle.status(ask=True).waiting_for == "")
    # Nothing was started again for it, and no pod was moved.
    assert {name: faults.restarts(name) for name in before} == before
    assert cluster.get("pod/sleeps")["status"]["containerStatuses"][0]["containerID"] == container
    cluster.delete("pod/sleeps")


@pytest.mark.soak
@pytest.mark.sandbox
def test_ten_minutes_of_faults(live_sandbox, capsys):
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 10**6))
    chance = random.Random(seed)
    eksnet.connect().apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}}")
    before = mounts_and_links()
    end = time.monotonic() + 60 * MINUTES
    done = 0
    while time.monotonic() < end:
        fault = chance.choices(list(FAULTS), list(FAULTS.values()))[0]
        began = time.monotonic()
        said = fault(chance)
        holder.wait_until_gone(paths.paths()) if "holder" in said else None
        # The one command; it makes no start where none is needed.
        lifecycle.up()
        cluster = eksnet.connect()
        faults.assert_goes_on(cluster)
        assert cluster.get("configmap/kept").name == "kept"
        done += 1
        with capsys.disabled():
            print(f"\n{done:4d}  {time.monotonic() - began:6.1f} s  {said} (seed {seed})", end="")
    assert done > MINUTES
    inside = faults.inside()
    lifecycle.down()
    assert members(inside) == []
    assert mounts_and_links() == before
    lifecycle.up()
