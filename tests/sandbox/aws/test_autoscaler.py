"""The autoscaler of the add-on coredns: what it decides, and that its end loses nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.coredns import replicas as model
from eksnet.sandbox.aws.eks import autoscaler
from eksnet.sandbox.aws.eks.autoscaler import (
    STEP,
    WINDOW,
    Autoscaler,
    Bounds,
    Memory,
    Size,
    bounds_of,
    decide,
    wanted,
)
from eksnet.sandbox.aws.eks.ownership import ApplyError
from eksnet.sandbox.aws.eks.records import Wanted
from tests.sandbox.aws.conftest import configuration
from tests.sandbox.aws.test_addons import COREDNS, NEWEST, installed, updated

BIG, SMALL = Size(40, 40 * 64), Size(2, 4)
ON = {"autoScaling": {"enabled": True}}
REPLICAS = {"kind": "Deployment", "field": ".spec.replicas", "manager": autoscaler.MANAGER}


def run(demands, bounds=Bounds(), replicas=2, each=10.0):  # noqa: B008
    """Return the replicas after each demand, a look every so many seconds."""
    memory, seen = Memory(0.0, 0.0), []
    for number, demand in enumerate(demands):
        memory, replicas = decide(memory.at(number * each, 1), demand, replicas, bounds)
        seen.append(replicas)
    return seen


@given(st.integers(0, 5000), st.integers(0, 100_000))
def test_a_size_asks_for_what_the_model_of_the_lesson_says(nodes, cores):
    size = wanted(Size(nodes, cores))
    for least, most in ((2, None), (3, 7)):
        bounds = Bounds(least, most or autoscaler.MOST)
        _, many = decide(Memory(0.0, 0.0), size, 2, bounds)
        assert many == model.eks_replicas(nodes, cores, least, most).replicas


def test_up_at_once():
    assert run([2, 10, 11]) == [2, 10, 11]


def test_down_by_a_third_every_three_minutes_once_the_peak_is_ten_minutes_old():
    seen = run([10] * 6 + [2] * 200)
    changes = {at: many for at, many in enumerate(seen) if at and many != seen[at - 1]}
    # The peak's last look is at 50 s; it has left the window ten minutes after the next one.
    first = 6 + int(WINDOW / 10)
    assert list(changes.values()) == model.steps_down(10, 2)[1:]
    assert list(changes) == [first + int(STEP / 10) * number for number in range(5)]


def test_a_new_peak_on_the_way_down_is_followed_at_once():
    seen = run([10] + [2] * 70 + [9] + [2] * 30)
    assert seen[70] == 7
    assert seen[71:] == [9] * 31


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=120),
    st.integers(2, 10),
    st.integers(10, 30),
)
def test_whatever_is_asked_for(demands, least, most):
    seen = run(demands, Bounds(least, most), replicas=least, each=30.0)
    looks = int(WINDOW / 30)
    for at, many in enumerate(seen):
        assert least <= many <= most
        # Never fewer than what was asked for in the last ten minutes, within the bounds.
        peak = max(demands[max(0, at - looks) : at + 1])
        assert many >= min(max(peak, least), most)
        if at and many < seen[at - 1]:
            assert seen[at - 1] - many <= max(1, seen[at - 1] * 0.33)
            recent = seen[max(0, at - int(STEP / 30)) : at]
            assert all(one <= before for before, one in zip(recent[1:], recent, strict=False)) or (
                recent == sorted(recent)
            )


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(0, 20)), max_size=60))
def test_what_is_remembered_stays_short_and_the_clock_never_goes_back(looks):
    memory, real = Memory(0.0, 0.0), 0.0
    for step, demand in looks:
        real += step - 100
        before = memory.clock
        memory, _ = decide(memory.at(real, 2.0), demand, 2, Bounds())
        assert memory.clock >= before
        assert all(a[0] <= b[0] for a, b in zip(memory.demand, memory.demand[1:], strict=False))
        assert memory.demand[-1][1] == demand
        # One that has ended before the window says nothing any more.
        assert all(end > memory.clock - WINDOW for end, _ in memory.demand[1:])


def test_a_lower_maximum_counts_at_once_and_a_higher_minimum_too():
    memory, _ = decide(Memory(0.0, 0.0), 10, 10, Bounds(2, 12))
    assert decide(memory, 10, 10, Bounds(2, 6))[1] == 6
    assert decide(memory, 2, 2, Bounds(5, 12))[1] == 10
    assert decide(Memory(0.0, 0.0), 2, 2, Bounds(5, 12))[1] == 5


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ("", None),
        ('{"autoScaling": {"enabled": false}}', None),
        ('{"autoScaling": {"enabled": true}}', Bounds(2, 1000)),
        ('{"autoScaling": {"enabled": true, "minReplicas": 3, "maxReplicas": 5}}', Bounds(3, 5)),
        ('{"autoScaling": {"enabled": true, "minReplicas": 7, "maxReplicas": 5}}', Bounds(7, 7)),
    ],
)
def test_the_bounds_are_those_of_the_values(values, bounds):
    assert bounds_of("coredns", Wanted(NEWEST, values), "eks.1") == bounds


@pytest.mark.parametrize(
    ("version", "platform"), [("v1.9.3-eksbuild.2", "eks.99"), (NEWEST, "eks.0")]
)
def test_only_where_platform_and_version_have_it(version, platform):
    assert bounds_of("coredns", Wanted(version, json.dumps(ON)), platform) is None


class Fleet:
    """A cluster of a size; it remembers the replicas, and says no when it is told to."""

    def __init__(self):
        self.now, self.many, self.factor, self.gone = SMALL, 2, 1.0, False

    def size(self):
        return self.now

    def replicas(self):
        if self.gone:
            raise ApplyError(0, "no answer")
        return self.many

    def scale(self, replicas):
        self.many = replicas

    def clock_factor(self):
        return self.factor


class Scaled:
    """The add-on with values, an autoscaler on a made-up cluster, and a clock of the test's own."""

    def __init__(self, side, eks, file):
        self.side, self.file, self.fleet, self.real = side, file, Fleet(), 1000.0
        installed(side, eks, configurationValues=json.dumps(ON))
        self.start()

    def start(self):
        store = self.side.autoscaler._store
        self.scaler = Autoscaler(store, self.fleet, "eks.1", self.file, lambda: self.real)

    def look(self, seconds=0.0):
        self.real += seconds
        again = self.scaler.look()
        return self.fleet.many if again is None or again else again


@pytest.fixture
def scaled(side, eks, tmp_path):
    return Scaled(side, eks, tmp_path / "scaling" / "autoscaler.json")


def test_it_follows_a_fleet_up_and_down_by_its_own_clock(scaled):
    scaled.fleet.now = BIG
    assert scaled.look() == 10
    scaled.fleet.now, scaled.fleet.factor = SMALL, 60.0
    scaled.look()
    assert scaled.look(9.9) == 10
    seen = [scaled.look(0.5) for _ in range(40)]
    assert list(dict.fromkeys(seen)) == [10, 7, 5, 4, 3, 2] or list(dict.fromkeys(seen)) == [
        7, 5, 4, 3, 2,
    ]  # fmt: skip


def test_killed_at_any_moment_it_goes_on_where_it_was(scaled):
    scaled.fleet.now = BIG
    scaled.look()
    scaled.fleet.now = SMALL
    seen = []
    for _ in range(200):
        # Nothing but the file outlives a kill.
        scaled.start()
        seen.append(scaled.look(10.0))
    assert list(dict.fromkeys(seen)) == [10, 7, 5, 4, 3, 2]
    first = seen.index(7)
    assert first * 10 == pytest.approx(WINDOW, abs=20)


def test_nodes_that_go_while_the_clock_stands_go_at_once(scaled):
    scaled.fleet.now, scaled.fleet.factor = BIG, 60.0
    scaled.look()
    scaled.look(60.0)
    scaled.fleet.factor = 0.0
    for nodes in (36, 31, 22, 9):
        scaled.fleet.now = Size(nodes, nodes * 64)
        scaled.look(7.0)
    scaled.fleet.now, scaled.fleet.factor = SMALL, 60.0
    seen = [scaled.look(0.5) for _ in range(60)]
    assert list(dict.fromkeys(seen)) == [10, 7, 5, 4, 3, 2]


def test_a_clock_that_was_started_late_counts_from_then_on_also_after_a_kill(scaled):
    scaled.fleet.now = BIG
    scaled.look()
    # Nine minutes at the real pace, then a minute at sixty times that.
    scaled.look(540)
    scaled.fleet.now, scaled.fleet.factor = SMALL, 60.0
    scaled.look(0)
    scaled.start()
    assert scaled.look(9.0) == 10
    assert scaled.look(1.5) == 7


def test_without_an_answer_nothing_is_forgotten(scaled):
    scaled.fleet.now = BIG
    scaled.look()
    scaled.fleet.gone = True
    assert scaled.scaler.look() > 0
    scaled.fleet.gone, scaled.fleet.now = False, SMALL
    assert scaled.look(60) == 10


def test_switched_off_it_forgets_and_waits_to_be_woken(scaled, side, eks):
    scaled.fleet.now = BIG
    scaled.look()
    assert scaled.file.exists()
    updated(side, eks, configurationValues=configuration(replicaCount=4))
    assert scaled.scaler.look() is None
    assert not scaled.file.exists()
    eks.update_addon(**COREDNS)
    # An update begins and ends without it; then there is nothing to do once more.
    assert scaled.scaler.look() > 0
    side.worker.work_once()
    assert scaled.scaler.look() is None


@pytest.mark.parametrize("mode", ["NONE", "PRESERVE"])
def test_the_autoscalers_replicas_are_no_conflict(side, eks, mode):
    installed(side, eks, configurationValues=json.dumps(ON))
    side.cluster.conflicts = [REPLICAS]
    values = configuration(autoScaling={"enabled": True, "maxReplicas": 12})
    update = updated(side, eks, configurationValues=values, resolveConflicts=mode)
    assert update["status"] == "Successful"
    assert "replicas" not in side.cluster.objects["Deployment", "coredns"]["spec"]


def test_without_the_autoscaler_they_are_the_add_ons_again(side, eks):
    installed(side, eks, configurationValues=json.dumps(ON))
    side.cluster.conflicts = [REPLICAS]
    update = updated(side, eks, configurationValues=configuration(replicaCount=3))
    assert update["status"] == "Successful"
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 3


def test_what_others_changed_beside_it_still_stops_an_update(side, eks):
    installed(side, eks, configurationValues=json.dumps(ON))
    corefile = {"kind": "ConfigMap", "field": ".data.Corefile"}
    side.cluster.conflicts = [REPLICAS, corefile]
    update = updated(side, eks, configurationValues=json.dumps(ON), resolveConflicts="NONE")
    assert update["errors"][0]["errorMessage"].endswith("ConfigMap coredns - .data.Corefile")


def test_an_update_that_overwrites_begins_with_the_minimum_again(side, eks):
    installed(side, eks, configurationValues=json.dumps(ON))
    side.cluster.conflicts = [REPLICAS]
    values = configuration(autoScaling={"enabled": True, "minReplicas": 3})
    updated(side, eks, configurationValues=values, resolveConflicts="OVERWRITE")
    assert side.cluster.objects["Deployment", "coredns"]["spec"]["replicas"] == 3
