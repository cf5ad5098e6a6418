"""Who holds a sandbox's lock, and who only looks at it."""

import threading

import pytest

from eksnet.sandbox import locks
from eksnet.sandbox.paths import Paths


@pytest.fixture
def own(tmp_path):
    found = Paths(tmp_path)
    found.alive_lock.parent.mkdir(parents=True)
    found.alive_lock.touch()
    return found


def test_those_who_look_see_no_life_in_each_other(own):
    stop, seen = threading.Event(), set()

    def look():
        while not stop.is_set():
            seen.add(locks.is_alive(own))

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    seen.update(locks.is_alive(own) for _ in range(2000))
    stop.set()
    for looker in lookers:
        looker.join()
    assert seen == {False}


def test_what_holds_it_lives(own):
    with own.alive_lock.open("a") as held:
        assert locks._try_lock(held)
        assert locks.is_alive(own)
    assert not locks.is_alive(own)
