"""The controller's role, policy and provider: deleted in one way, on every target."""

from __future__ import annotations

from typing import Any

import pytest

from eksnet.aws.leftovers import Account, Kind, Leftover
from eksnet.cluster import Cluster
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError
from eksnet.loadbalancer import controller
from tests.doctor.conftest import api, eks, lab, side  # noqa: F401

COURSE = [{"Key": "eksnet", "Value": "course"}]


@pytest.fixture
def cluster(eks: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:  # noqa: F811
    monkeypatch.setenv("EKSNET_CHANGES", "lab")
    return eks


def make(cluster: Cluster, tags: list[dict[str, str]]) -> Any:
    """Make the three, as a learner does; with these tags."""
    iam, trust = cluster.aws("iam"), controller.trust_policy(cluster)
    iam.create_open_id_connect_provider(
        Url=controller.issuer(cluster), ClientIDList=[controller.AUDIENCE], Tags=tags
    )
    iam.create_role(RoleName=controller.ROLE, AssumeRolePolicyDocument=trust, Tags=tags)
    made = iam.create_policy(
        PolicyName=controller.POLICY, PolicyDocument=controller.iam_policy(), Tags=tags
    )["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=controller.ROLE, PolicyArn=made)
    # What belongs to others, with the course's tag too.
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=trust, Tags=COURSE)
    return made


def there(cluster: Cluster) -> tuple[bool, bool, bool, bool]:
    iam = cluster.aws("iam")
    policies = [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]]
    roles = [one["RoleName"] for one in iam.list_roles()["Roles"]]
    return (
        controller.ROLE in roles,
        controller.POLICY in policies,
        bool(controller.audiences(cluster)),
        "other" in roles,
    )


@pytest.mark.parametrize(
    ("kind", "tags", "left"),
    [
        ("context", COURSE, False),
        # They may have been there before the course.
        ("context", [], True),
        ("sandbox", COURSE, False),
        # There is nobody else who could have made them.
        ("sandbox", [], False),
    ],
)
def test_what_is_the_courses_goes(
    kind: str, tags: list[dict[str, str]], left: bool, cluster: Cluster
) -> None:
    make(cluster, tags)
    assert there(cluster) == (True,) * 4
    cluster.target = Target(kind, "lab")
    for _ in range(2):
        controller._delete_identities(cluster)
        assert there(cluster) == (left, left, left, True)


def test_what_something_else_uses_is_told(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, real = make(cluster, COURSE), Kind.delete

    def delete(kind: Kind, account: Account, one: Leftover) -> str:
        # moto deletes a policy that a role has; IAM answers DeleteConflict.
        return "attached to another role" if kind.name == "policy" else real(kind, account, one)

    monkeypatch.setattr(Kind, "delete", delete)
    said = f"the policy {policy} of the controller is still in use: attached to another role"
    with pytest.raises(EksnetError, match=said):
        controller._delete_identities(cluster)
    assert there(cluster)[1]
