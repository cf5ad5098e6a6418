"""CoreDNS's memory: the published formula, its own points, and what lies between them."""

import pytest

from eksnet.coredns import memory
from eksnet.errors import EksnetError


@pytest.mark.parametrize(
    ("mode", "pods", "services", "mb"),
    [
        ("default", 0, 0, 54),
        ("default", 15000, 820, 69.82),
        ("default", 150000, 8200, 212.2),
        ("autopath", 0, 0, 56),
        ("autopath", 60000, 3280, 309.12),
    ],
)
def test_the_published_formula(mode, pods, services, mb):
    assert memory.memory(pods, services, mode) == pytest.approx(mb)


@pytest.mark.parametrize(
    ("mode", "objects_per_mb", "base"), [("default", 1165, 54.07), ("autopath", 400, 55.5)]
)
def test_the_points_lie_on_flatter_lines_than_the_formula(mode, objects_per_mb, base):
    line = memory.fit(memory.measurements(mode))
    assert line.objects_per_mb == pytest.approx(objects_per_mb, rel=0.002)
    assert line.base == pytest.approx(base, abs=0.05)
    assert line.objects_per_mb > memory.published(mode).objects_per_mb


def test_how_careful_the_formula_is():
    assert memory.measurements().rows[-1] == ("158,200", "189", "212.2", "+12 %")
    assert memory.measurements("autopath").rows[-1] == ("63,280", "213", "309.1", "+45 %")


@pytest.mark.parametrize("call", [
    lambda: memory.memory(-1, 0),
    lambda: memory.memory(0, 10**9),
    lambda: memory.memory(1, 1, "fast"),
    lambda: memory.measurements("fast"),
    lambda: memory.fit([]),
    lambda: memory.fit(memory.measurements()[:1]),
])  # fmt: skip
def test_what_is_no_size(call):
    with pytest.raises(EksnetError):
        call()
