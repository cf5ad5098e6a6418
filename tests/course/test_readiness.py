"""When a cluster is ready for a lesson: what its pods may do yet, told by times."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from eksnet.course import readiness


def ago(seconds):
    return None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)


def pod(started):
    status = {"startTime": started.isoformat().replace("+00:00", "Z")} if started else {}
    return {"status": status}


@pytest.mark.parametrize(
    # Seconds ago.
    ("started", "written", "may"),
    [
        (600, 3, True),
        # The kubelet writes the file when it makes the pod: it is what was written before.
        (2, 3, False),
        # By then every file is new, and `reload` has looked at it.
        (600, 300, False),
        (None, 3, False),
        (600, None, False),
    ],
)
def test_a_pod_may_take_up_what_its_configmap_held_a_moment_ago(started, written, may):
    assert readiness._may_take_up_another(pod(ago(started)), ago(written)) is may


@pytest.mark.parametrize(
    ("found", "hour"),
    [
        (None, None),
        ({"metadata": {}}, None),
        ({"metadata": {"managedFields": [{"time": "2026-12-01T03:00:00Z"}, {}]}}, 3),
    ],
)
def test_a_configmap_says_when_it_was_written_where_there_is_one(found, hour):
    cluster = SimpleNamespace(find=lambda *_: found)
    written = readiness._last_written(cluster)
    assert (written and written.hour) == hour
