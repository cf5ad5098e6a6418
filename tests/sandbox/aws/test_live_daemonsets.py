"""The add-ons kube-proxy and vpc-cni on the suite's sandbox: their DaemonSets roll."""

import pytest

from eksnet.cluster.countdown import until

pytestmark = pytest.mark.sandbox
SYSTEM = "kube-system"


def settled(eks, addon):
    told = eks.describe_addon(clusterName="workbook", addonName=addon)["addon"]
    return told["status"] == "ACTIVE"


def image(cluster, daemonset):
    spec = cluster.get(f"daemonset/{daemonset}", namespace=SYSTEM)["spec"]["template"]["spec"]
    return spec["containers"][0]["image"].rpartition(":")[2]


def test_vpc_cni_says_what_it_stands_for_and_changes_its_version(cluster):
    eks = cluster.aws("eks")
    own = {"clusterName": "workbook", "addonName": "vpc-cni"}
    eks.create_addon(**own)
    assert until("vpc-cni", lambda: settled(eks, "vpc-cni"), 120)
    (pod, _) = cluster.list("pods", SYSTEM, selector="k8s-app=aws-node")
    assert "stands for the Amazon VPC CNI" in cluster.logs(pod.name, namespace=SYSTEM)
    eks.update_addon(**own, addonVersion="v1.21.1-eksbuild.8")
    assert until("vpc-cni", lambda: settled(eks, "vpc-cni"), 120)
    assert image(cluster, "aws-node") == "v1.21.1-eksbuild.8"
    eks.delete_addon(**own)

    def gone():
        return cluster.find("daemonset/aws-node", namespace=SYSTEM) is None

    assert until("no DaemonSet", gone, 60)


def test_kube_proxy_changes_its_version(cluster):
    eks = cluster.aws("eks")
    own = {"clusterName": "workbook", "addonName": "kube-proxy"}
    before = image(cluster, "kube-proxy")
    eks.create_addon(**own)
    assert until("kube-proxy", lambda: settled(eks, "kube-proxy"), 120)
    for version in ("v1.35.3-eksbuild.21", before):
        eks.update_addon(**own, addonVersion=version)
        assert until("kube-proxy", lambda: settled(eks, "kube-proxy"), 120)
        assert image(cluster, "kube-proxy") == version
    eks.delete_addon(**own, preserve=True)
