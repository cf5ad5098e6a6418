"""Five faults of Ingresses for a learner to find, injected into the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from eksnet.aws import tags
from eksnet.cluster import faults
from eksnet.cluster.countdown import until
from eksnet.cluster.faults import Chapter, Fault, Place
from eksnet.errors import EksnetError
from eksnet.loadbalancer.observe import provisioned, rules, targets

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NAMESPACE, INGRESS, SERVICE = "app-ns", "web", "web"
# The two Ingresses of the fault D, and the Service of the fault C, which another namespace has.
GROUP, MEMBERS = "orders", ("orders", "orders-admin")
ELSEWHERE, TEAM = "reports", "team-ns"
OWN_GROUP = "eksnet-front"
PREFIX = "alb.ingress.kubernetes.io"
_WEB = Place("ingress", INGRESS, NAMESPACE)
_NO_CERTIFICATE = "00000000-0000-0000-0000-000000000000"
_TIMEOUT = 90

Json = dict[str, Any]


def inject_fault(cluster: Cluster, name: str) -> Fault:
    """Bring a fault into the sandbox and return what a user notices of it.

    Args:
        cluster: The cluster, with the Ingress `web` of 08b_ingress_https_and_faults; only the
            sandbox.
        name: A, B, C, D or E.

    Raises:
        EksnetError: It is not the sandbox, or there is no such fault.
    """
    return CHAPTER.inject(cluster, name)


def revert_faults(cluster: Cluster) -> tuple[str, ...]:
    """Put back what this chapter's faults changed, as it was before; return their names.

    Args:
        cluster: The cluster; only the sandbox.

    Raises:
        EksnetError: It is not the sandbox.
    """
    return CHAPTER.revert(cluster)


def own_security_group(cluster: Cluster) -> str:
    """Return the id of a security group that lets every client reach port 80; make it if needed.

    Args:
        cluster: The cluster.
    """
    ec2 = cluster.aws("ec2")
    if found := _own_groups(cluster):
        return found[0]
    described = cluster.aws("eks").describe_cluster(name=cluster.eks_name)["cluster"]
    made: str = ec2.create_security_group(
        GroupName=OWN_GROUP,
        Description="clients of the load balancer",
        VpcId=described["resourcesVpcConfig"]["vpcId"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags.as_list(tags.COURSE)}],
    )["GroupId"]
    everyone = {
        "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }  # fmt: skip
    ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[everyone])
    return made


def delete_own_security_group(cluster: Cluster) -> None:
    """Delete the security group of `own_security_group`; nothing happens where there is none.

    Args:
        cluster: The cluster.
    """
    for one in _own_groups(cluster):
        cluster.aws("ec2").delete_security_group(GroupId=one)


def _own_groups(cluster: Cluster) -> list[str]:
    wanted = [{"Name": "group-name", "Values": [OWN_GROUP]}]
    found = cluster.aws("ec2").describe_security_groups(Filters=wanted)["SecurityGroups"]
    return [one["GroupId"] for one in found]


def backend(service: str, port: Mapping[str, Any]) -> Json:
    """Return the fields of an Ingress that sends every request to one Service.

    Args:
        service: The Service's name.
        port: Its port, by name or number.
    """
    path = {
        "path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": service, "port": dict(port)}},
    }  # fmt: skip
    return {"spec": {"rules": [{"http": {"paths": [path]}}]}}


def _annotated(**values: str) -> Json:
    named = {f"{PREFIX}/{key.replace('_', '-')}": value for key, value in values.items()}
    return {"metadata": {"annotations": named}}


def _wrong_port_name(cluster: Cluster, fault: str) -> None:
    faults.inject(cluster, fault, _WEB, backend(SERVICE, {"name": "htpp"}))
    _wait(cluster, "the controller's event", lambda: _warned(cluster, INGRESS, "htpp"))


def _own_security_group(cluster: Cluster, fault: str) -> None:
    mine = own_security_group(cluster)
    faults.inject(cluster, fault, _WEB, _annotated(security_groups=mine))
    _wait(cluster, "the health checks", lambda: _all_time_out(cluster))


def _another_namespace(cluster: Cluster, fault: str) -> None:
    faults.inject(cluster, fault, _WEB, backend(ELSEWHERE, {"number": 80}))
    _wait(cluster, "the new rule", lambda: _answers_503(cluster))


def _two_schemes(cluster: Cluster, fault: str) -> None:
    for name in MEMBERS:
        # Injected once more, one has the fault's scheme, and keeps it.
        if cluster.find("ingress", name, NAMESPACE) is None:
            cluster.apply(_member(name))
    for name in MEMBERS:
        cluster.wait("ingress", name, condition=provisioned, namespace=NAMESPACE)
    place = Place("ingress", MEMBERS[1], NAMESPACE)
    faults.inject(cluster, fault, place, _annotated(scheme="internal"))
    _wait(
        cluster,
        "the controller's events",
        lambda: all(_warned(cluster, name, "scheme") for name in MEMBERS),
    )


def _wrong_certificate(cluster: Cluster, fault: str) -> None:
    account = cluster.aws("sts").get_caller_identity()["Account"]
    wrong = (
        f"arn:aws:acm:{cluster.region}:{account}:certificate/{'0' * 8}-0000-0000-0000-{'0' * 12}"
    )
    both = json.dumps([{"HTTP": 80}, {"HTTPS": 443}])
    faults.inject(cluster, fault, _WEB, _annotated(certificate_arn=wrong, listen_ports=both))
    _wait(cluster, "the controller's event", lambda: _warned(cluster, INGRESS, "ertificate"))


def _member(name: str) -> str:
    annotations = {
        f"{PREFIX}/scheme": "internet-facing",
        f"{PREFIX}/target-type": "ip",
        f"{PREFIX}/group.name": GROUP,
    }
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
    path = {
        "path": f"/{name}", "pathType": "Prefix",
        "backend": {"service": {"name": SERVICE, "port": {"number": 80}}},
    }  # fmt: skip
    spec = {"ingressClassName": "alb", "rules": [{"http": {"paths": [path]}}]}
    return json.dumps(
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
         "spec": spec}
    )  # fmt: skip


# When a fault shows.


def _warned(cluster: Cluster, ingress: str, words: str) -> bool:
    events = cluster.events(f"ingress/{ingress}", NAMESPACE)
    return any(one.type == "Warning" and words in one.message for one in events)


def _all_time_out(cluster: Cluster) -> bool:
    found = targets(cluster, INGRESS, NAMESPACE)
    return bool(found) and all(one.reason == "Target.Timeout" for one in found)


def _answers_503(cluster: Cluster) -> bool:
    return any(one.action == "answer 503" for one in rules(cluster, INGRESS, NAMESPACE))


def _wait(cluster: Cluster, what: str, shows: Callable[[], bool]) -> None:
    if not until(what, shows, _TIMEOUT):
        raise EksnetError(
            f"the fault does not show after {_TIMEOUT} s",
            "the Ingress web of 08b_ingress_https_and_faults, and the controller",
            f'cluster.events("ingress/{INGRESS}", "{NAMESPACE}")',
        )


CHAPTER = Chapter(
    "ingress",
    "a fault would harm the users of the cluster",
    {
        "A": ("the Ingress web was changed, and its load balancer was not", _wrong_port_name),
        "B": ("every request to web is answered with 504 after ten seconds", _own_security_group),
        "C": ("every request to web is answered with 503", _another_namespace),
        "D": ("changes of the Ingress orders have no effect, although nobody changed it",
              _two_schemes),
        "E": ("web should answer HTTPS too, and port 443 does not", _wrong_certificate),
    },
)  # fmt: skip
