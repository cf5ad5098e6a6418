"""A notebook over a target `eks:`, with the sandbox's AWS endpoint in the environment.

The whole course over it, by a learner who has the course's rights alone, is in test_course_soak.py.
"""

import over_eks
import pytest

from eksnet.course import catalogue

# One that needs Kubernetes alone, and one that needs AWS.
TWO = ("01a_dns_records", "02a_coredns_addon")


@pytest.mark.parametrize("name", [path.stem for path in catalogue.course()])
def test_a_cell_that_asks_which_target_it_is_may_print_something_else_there(name):
    cells = over_eks.expected(name, "").cells
    asking = [cell for cell in cells if "cluster.target.kind" in cell.source]
    assert asking == [cell for cell in asking if over_eks.MAY_DIFFER in cell.metadata["tags"]]


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.parametrize("name", TWO)
def test_a_learners_own_cluster_prints_what_the_sandbox_prints(
    fresh_sandbox, tmp_path, monkeypatch, name
):
    over_eks.set_variables(monkeypatch, over_eks.variables(tmp_path / "bin"))
    over_eks.compare(name, tmp_path)
