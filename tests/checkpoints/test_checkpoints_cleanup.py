"""The checkpoints of 99_cleanup on clusters with something left, and on clean ones."""

from __future__ import annotations

from typing import Any

from account import put_account
from fake_api import FakeApi
from lab_api import Check

from eksnet.checkpoints import State
from eksnet.cluster import connect_read_only, runs

F, N, P = State.FAIL, State.NOT_STARTED, State.PASS
STUCK = {"Ingress": "stays", "load balancer": "stays"}
SYSTEM = "/api/v1/namespaces/kube-system"
NAME = "aws-load-balancer-controller"
COURSE = [{"Key": "eksnet", "Value": "course"}]
EMPTY: dict[str, Any] = {
    "describe_cluster": {
        "cluster": {"resourcesVpcConfig": {"vpcId": "vpc-1", "clusterSecurityGroupId": "sg-1"}}
    },
    "describe_load_balancers": {"LoadBalancers": []},
    "describe_target_groups": {"TargetGroups": []},
    "describe_network_interfaces": {"NetworkInterfaces": []},
    "describe_security_groups": {"SecurityGroups": []},
    "describe_security_group_rules": {"SecurityGroupRules": []},
    "describe_addresses": {"Addresses": []},
    "list_certificates": {"CertificateSummaryList": []},
    "list_pod_identity_associations": {"associations": []},
    "list_addons": {"addons": []},
    "list_roles": {"Roles": []},
    "list_policies": {"Policies": []},
    "list_open_id_connect_providers": {"OpenIDConnectProviderList": []},
}


def put_left(
    api: FakeApi,
    *,
    ingress: bool = False,
    installed: bool = False,
    role: str = "",
    namespace: str = "",
    cleaned: bool = True,
) -> None:
    """Make a cluster with its account, and leave something in it.

    Args:
        api: The API server.
        ingress: Whether there is an Ingress with the controller's finalizer.
        installed: Whether the controller's service account is there.
        role: The name of a role with the course's tag; none when empty.
        namespace: The name of a namespace with the course's label; none when empty.
        cleaned: Whether a clean-up has ended.
    """
    if cleaned:
        runs.end(connect_read_only().directory)
    roles = [{"RoleName": role}] if role else []
    put_account(api, {**EMPTY, "list_roles": {"Roles": roles}, "list_role_tags": {"Tags": COURSE}})
    if ingress:
        api.put(
            "/apis/networking.k8s.io/v1/namespaces/app-ns/ingresses/web",
            {"metadata": {"finalizers": ["ingress.k8s.aws/resources"]}},
        )
    if installed:
        api.put(f"{SYSTEM}/serviceaccounts/{NAME}", {})
    if namespace:
        api.put(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {"eksnet": "course"}}})


def test_only_a_clean_up_that_has_ended_earns_points(api: FakeApi, checkpoint: Check) -> None:
    put_left(api, cleaned=False)
    check = checkpoint("cleanup-02").check
    assert (check().state, check().points) == (N, 0)
    assert "eksnet.clean_up(cluster)" in check().outcomes[0].observation.next_step
    directory = connect_read_only().directory
    runs.begun(directory)
    assert (check().state, check().points) == (N, 0)
    runs.end(directory)
    assert (check().state, check().points) == (P, 5)
    # What is made after it is another run's.
    runs.begun(directory)
    assert (check().state, check().points) == (N, 0)


def test_each_fact_is_told_for_itself(api: FakeApi, checkpoint: Check) -> None:
    put_left(api, ingress=True, installed=True, role="x", namespace="app-ns")
    result = checkpoint("cleanup-02").check()
    assert [one.state for one in result.outcomes] == [F, F, F, F]
    assert [one.observation.observed for one in result.outcomes] == [
        "1 have one: Ingress",
        f"there is serviceaccount/{NAME}",
        "there is left: 1 role",
        "1 have it: Namespace",
    ]
