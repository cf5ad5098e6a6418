"""A sandbox of the suite's own: one for all tests, and a fresh cluster for those that need it."""

import contextlib
import os
import signal

import hostside
import otheraccount
import pytest
from hypothesis import HealthCheck, settings

import eksnet
from eksnet.cluster import connecting
from eksnet.commands import environment
from eksnet.sandbox import lifecycle, paths

# Messages name the command alike, however the suite was started.
for name in os.environ.keys() - environment(os.environ).keys():
    del os.environ[name]
os.environ.update(environment(os.environ))

# On a busy computer an example takes as long as it takes.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_collection_modifyitems(items):
    """Put first what takes longest, which would keep one worker beyond the others."""
    marked = {
        mark: {item.path for item in items if item.get_closest_marker(mark)}
        for mark in ("notebook", "sandbox", "browser")
    }
    items.sort(key=lambda item: [item.path not in paths for paths in marked.values()])


@pytest.fixture
def interruptible():
    """SIGINT as on a terminal: a shell has what it puts in the background pass it over."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def ignored(number):
    """Ignore a signal for a while."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.fixture(scope="session")
def live_sandbox(tmp_path_factory):
    """A running sandbox, apart from the learner's own; ended with the last test."""
    variables = {
        "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")),
        "EKSNET_SANDBOX": f"test-{os.getpid()}",
        "EKSNET_TARGET": "sandbox",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        before = hostside.mounts_and_links()
        # As under nohup: no process of a sandbox may take it over.
        with ignored(signal.SIGHUP):
            up = lifecycle.up()
        yield up
        lifecycle.down()
        # Whatever the tests did to it, and however often it was started.
        assert hostside.naming(paths.paths().state) == []
        assert hostside.mounts_and_links() == before


@pytest.fixture(autouse=True)
def nothing_of_another_test(request, monkeypatch):
    """What ran before in this process must change nothing.

    Nothing was connected to, and without the suite's sandbox a test sees none: neither that one,
    which stays up for all tests of a worker, nor the learner's own.
    """
    monkeypatch.setattr(connecting, "_latest", None)
    if "live_sandbox" not in request.fixturenames:
        monkeypatch.setenv("EKSNET_SANDBOX", "none-of-the-suite")


@pytest.fixture
def fresh_sandbox(live_sandbox):
    """The suite's sandbox with a cluster that nobody has used."""
    return lifecycle.reset()


@pytest.fixture(scope="session")
def cluster(live_sandbox):
    """The cluster of the suite's sandbox, connected to as a notebook does."""
    return eksnet.connect()


@pytest.fixture
def another_account(tmp_path):
    """Keys, profiles and endpoints of an account that nothing of the course may use."""
    account = otheraccount.open_account(tmp_path)
    yield account
    account.close()
