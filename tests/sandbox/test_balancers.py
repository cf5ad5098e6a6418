"""Load balancers with traffic, on one sandbox: from the internet, from pods, and after faults."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from types import SimpleNamespace
from urllib.parse import urlencode

import faults
import pytest
import walls
from hostside import members

import eksnet
from eksnet import loadbalancer
from eksnet.errors import EksnetError, UnreachableError
from eksnet.sandbox import lifecycle, paths

pytestmark = pytest.mark.sandbox
BUSYBOX = "busybox:1.36"
NODE_PORT, LATE_PORT = 30080, 30081
SHOP = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: registry.k8s.io/e2e-test-images/agnhost:2.53
        args: [netexec, --http-port=8080]
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec:
  type: NodePort
  selector: {{app: shop}}
  ports: [{{port: 80, targetPort: 8080, nodePort: {NODE_PORT}}}]
"""
LATE = f"""
apiVersion: v1
kind: Service
metadata: {{name: late}}
spec:
  type: NodePort
  selector: {{app: shop}}
  ports: [{{port: 80, targetPort: 8080, nodePort: {LATE_PORT}}}]
"""
REQUESTS = 100
HELD = "until [ -e /tmp/go ]; do sleep 1; done"


@pytest.fixture(scope="module")
def shop(cluster):
    """Two pods behind node ports, and an internet-facing and an internal load balancer."""
    elb, ec2 = cluster.aws("elbv2"), cluster.aws("ec2")
    cluster.apply(SHOP)
    cluster.wait("deployment/shop", condition="Available")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    subnets = ec2.describe_subnets()["Subnets"]
    front = ec2.create_security_group(
        GroupName="front", Description="front", VpcId=vpc["VpcId"]
    )["GroupId"]  # fmt: skip
    # Port 81 is open, and nobody listens there.
    let_in(ec2, front, (80, 81), {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    nodes = next(
        one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]
        if one["GroupName"].startswith("eks-cluster-sg")
    )  # fmt: skip
    from_front = {"UserIdGroupPairs": [{"GroupId": front}]}
    let_in(ec2, nodes, (NODE_PORT, NODE_PORT), from_front)
    reservations = ec2.describe_instances()["Reservations"]
    targets = [{"Id": i["InstanceId"]} for one in reservations for i in one["Instances"]]
    names, arns, groups = {}, [], []

    def settings(name, port=NODE_PORT):
        return {
            "Name": name, "Protocol": "HTTP", "Port": port, "VpcId": vpc["VpcId"],
            "TargetType": "instance", "HealthCheckPath": "/healthz",
            "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2,
            "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2,
        }  # fmt: skip

    for scheme in ("internet-facing", "internal"):
        is_public = scheme == "internet-facing"
        chosen = [one["SubnetId"] for one in subnets if one["MapPublicIpOnLaunch"] == is_public]
        (made,) = elb.create_load_balancer(
            Name=f"shop-{scheme}", Scheme=scheme, Subnets=chosen, SecurityGroups=[front]
        )["LoadBalancers"]
        (group,) = elb.create_target_group(**settings(f"shop-{scheme}"))["TargetGroups"]
        groups.append(group["TargetGroupArn"])
        elb.register_targets(TargetGroupArn=groups[-1], Targets=targets)
        elb.create_listener(
            LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80,
            DefaultActions=forward(groups[-1]),
        )  # fmt: skip
        names[scheme] = made["DNSName"]
        arns.append(made["LoadBalancerArn"])
    public = f"http://{names['internet-facing']}"
    loadbalancer.wait_until_answers(cluster, f"{public}/hostname")
    yield SimpleNamespace(
        public=public, internal=f"http://{names['internal']}", front=front, nodes=nodes,
        group=groups[0], arn=arns[0], elb=elb, ec2=ec2, targets=targets, settings=settings,
        from_front=from_front,
    )  # fmt: skip
    cluster.delete_manifest(SHOP)


def forward(group):
    return [{"Type": "forward", "TargetGroupArn": group}]


def let_in(ec2, group, ports, source):
    permission = {"IpProtocol": "tcp", "FromPort": ports[0], "ToPort": ports[1], **source}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])


def run_eksnet(*words, code=0):
    """Run the command and return both of its streams; it has to end with this code."""
    done = subprocess.run(
        [sys.executable, "-m", "eksnet.cli", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_a_load_balancer_answers_the_internet(shop, cluster):
    found = loadbalancer.request(cluster, f"{shop.public}/clientip")
    # The pods see a node or the load balancer; who asked is in a header.
    asked = loadbalancer.request(cluster, f"{shop.public}/header?key=X-Forwarded-For")
    assert (found.status, asked.body) == (200, "198.51.100.10")


def test_curl_is_curl(shop, tmp_path):
    url = f"{shop.public}/hostname"
    body, complaint = run_eksnet("curl", "-sS", "-w", " %{http_code}", url)
    assert re.fullmatch(r"shop-\w+-\w+ 200", body)
    assert complaint == ""
    run_eksnet("curl", "-s", "-o", str(tmp_path / "file"), url)
    assert (tmp_path / "file").read_text().startswith("shop-")
    # Its own exit codes: a name that is none, an answer that --fail takes for an error, a port that
    # is open where nobody listens, one that no rule opens.
    run_eksnet("curl", "-s", "http://nobody.ap-northeast-2.elb.amazonaws.com/", code=6)
    run_eksnet("curl", "-s", "--fail", f"{shop.public}/echo?msg=no&code=500", code=22)
    run_eksnet("curl", "-s", f"{shop.public}:81/", code=7)
    run_eksnet("curl", "-s", "--connect-timeout", "1", f"{shop.public}:82/", code=28)
    assert "curl" in run_eksnet("curl", "--version")[0]


def test_certificates_of_acm_are_valid_on_request_alone(shop, cluster):
    name, place = "shop.example.com", shop.public.removeprefix("http://")
    made = cluster.aws("acm").request_certificate(DomainName=name)["CertificateArn"]
    let_in(shop.ec2, shop.front, (443, 443), {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    shop.elb.create_listener(
        LoadBalancerArn=shop.arn, Protocol="HTTPS", Port=443,
        Certificates=[{"CertificateArn": made}],
        DefaultActions=forward(shop.group),
    )  # fmt: skip
    trusted = {"host": name, "trust_sandbox": True}
    loadbalancer.wait_until_answers(cluster, f"https://{place}/hostname", **trusted)
    words = ["-s", "--connect-to", f"{name}:443:{place}:443", f"https://{name}/hostname"]
    body, _ = run_eksnet("curl", "--trust-sandbox", *words)
    assert body.startswith("shop-")
    run_eksnet("curl", *words, code=60)
    with pytest.raises(UnreachableError, match="is not valid"):
        loadbalancer.request(cluster, f"https://{place}/hostname", host=name)


def test_an_internal_one_answers_pods_alone_and_says_so(shop, cluster):
    said = run_eksnet("curl", "-s", "--connect-timeout", "1", f"{shop.internal}/", code=28)
    assert said[0] == ""
    assert "shop-internal is an internal load balancer" in said[1]
    (command,) = re.findall(r"kubectl (run .*)", said[1])
    assert command.endswith(f"wget -qO- {shop.internal}/")
    with pytest.raises(EksnetError, match="internal load balancer"):
        loadbalancer.request(cluster, f"{shop.internal}/")
    _, complaint = run_eksnet("open", f"{shop.internal}/", code=2)
    assert "internal load balancer" in complaint
    run = cluster.run(BUSYBOX, f"wget -qO- {shop.internal}/hostname")
    assert run.output.startswith("shop-")


def test_pods_find_both_by_name(shop, cluster):
    """A public one sees the NAT gateway's address, an internal one the pod's own."""
    asked = "header?key=X-Forwarded-For"
    run = cluster.run(BUSYBOX, f"wget -qO- {shop.public}/{asked}")
    assert run.output.strip() == "203.0.113.10"
    run = cluster.run(BUSYBOX, f"wget -qO- {shop.internal}/{asked}")
    assert run.output.strip().startswith("10.0.1")


def test_targets_without_a_rule_time_out_until_there_is_one(shop, cluster):
    """A port of the nodes that no rule opens: the load balancer answers 504, as on AWS."""
    cluster.apply(LATE)
    (late,) = shop.elb.create_target_group(**shop.settings("late", LATE_PORT))["TargetGroups"]
    late = late["TargetGroupArn"]
    shop.elb.register_targets(TargetGroupArn=late, Targets=shop.targets)
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/late*"]}}
    (listener, *_) = shop.elb.describe_listeners(LoadBalancerArn=shop.arn)["Listeners"]
    shop.elb.create_rule(
        ListenerArn=listener["ListenerArn"], Priority=1, Conditions=[path], Actions=forward(late)
    )

    def reasons():
        found = shop.elb.describe_target_health(TargetGroupArn=late)
        health = [one["TargetHealth"] for one in found["TargetHealthDescriptions"]]
        return {one.get("Reason", one["State"]) for one in health}

    faults.until("no target answers", lambda: reasons() == {"Target.Timeout"})
    assert loadbalancer.request(cluster, f"{shop.public}/late").status == 504
    let_in(shop.ec2, shop.nodes, (LATE_PORT, LATE_PORT), shop.from_front)
    loadbalancer.wait_until_answers(cluster, f"{shop.public}/late")
    faults.until("all targets answer", lambda: reasons() == {"healthy"})


def test_open_leads_a_browser_there_and_ends_with_ctrl_c(shop):
    command = [
        sys.executable,
        "-m",
        "eksnet.cli",
        "open",
        "--no-browser",
        f"{shop.public}/hostname",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as opened:  # fmt: skip
        address, _, rest = opened.stdout.readline().partition(" ")
        assert rest.startswith(f"leads to {shop.public}/hostname")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.read().decode().startswith("shop-")
        before = len(members(faults.inside()))
        os.killpg(opened.pid, signal.SIGINT)
        assert opened.wait(30) == 0
    assert len(members(faults.inside())) <= before


def test_every_process_sees_what_is_in_the_list(shop):
    seen = walls.Walls(paths.paths())
    assert seen.complaints() == {}
    assert seen.control_plane().keys() == {words[-1] for words in walls.CONTROL_PLANE}


def open_requests(shop, cluster, command, shown):
    """Begin requests for which the pods run a command; return where their ends appear."""
    ends = []

    def ask():
        try:
            url = f"{shop.public}/shell?{urlencode({'shellCommand': command})}"
            ends.append(str(loadbalancer.request(cluster, url, timeout=300).status))
        except UnreachableError as error:
            ends.append(error.seen)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(REQUESTS)]
    for one in threads:
        one.start()
    faults.until("all requests are at a pod", lambda: running(cluster, shown) == REQUESTS)
    return ends


def running(cluster, shown):
    """Return how many programs the pods run for requests."""
    count = ["sh", "-c", f"ps -o args | grep -cxF '{shown}' || true"]
    return sum(int(cluster.exec(pod, count).stdout) for pod in pods_of_shop(cluster))


def pods_of_shop(cluster):
    return [pod.name for pod in cluster.list("pods", selector="app=shop")]


def test_a_data_plane_that_dies_ends_requests_with_an_error_and_comes_back(shop, cluster):
    ends = open_requests(shop, cluster, "sleep 600", "sleep 600")
    before = faults.restarts("load-balancers")
    faults.kill(faults.component_pid("loadbalancer"))
    faults.until("every request has ended", lambda: len(ends) == REQUESTS)
    assert all("did not answer" in end for end in ends), ends
    found = loadbalancer.wait_until_answers(cluster, f"{shop.public}/hostname")
    assert found.body.startswith("shop-")
    faults.until("it runs", lambda: faults.restarts("load-balancers") == before + 1)


def test_without_the_aws_services_traffic_goes_on(shop, cluster):
    ends = open_requests(shop, cluster, HELD, f"/bin/sh -c {HELD}")
    before = faults.restarts("aws")
    faults.kill(faults.component_pid("aws"))
    assert loadbalancer.request(cluster, f"{shop.public}/hostname").status == 200
    faults.until("they are back", lambda: faults.restarts("aws") > before)
    faults.assert_goes_on(cluster)
    targets = shop.elb.describe_target_health(TargetGroupArn=shop.group)
    assert len(targets["TargetHealthDescriptions"]) == 2
    assert ends == []
    for pod in pods_of_shop(cluster):
        cluster.exec(pod, ["touch", "/tmp/go"])
    faults.until("every request has ended", lambda: len(ends) == REQUESTS)
    assert set(ends) == {"200"}


def test_after_down_and_up_all_is_as_before(shop):
    lifecycle.down()
    _, complaint = run_eksnet("curl", f"{shop.public}/", code=2)
    assert "is down" in complaint
    lifecycle.up()
    cluster = eksnet.connect()
    found = loadbalancer.wait_until_answers(cluster, f"{shop.public}/hostname")
    assert found.body.startswith("shop-")
    run = cluster.run(BUSYBOX, f"wget -qO- {shop.internal}/hostname")
    assert run.output.startswith("shop-")


def test_a_reset_leaves_nothing(shop):
    lifecycle.reset()
    own = paths.paths()
    assert "load-balancers" not in lifecycle.status().components
    assert sorted(one.name for one in own.observed.iterdir()) == ["network-zone", "zone"]
    _, complaint = run_eksnet("curl", f"{shop.public}/", code=2)
    assert "has no load balancer" in complaint
    cluster = eksnet.connect()
    assert cluster.aws("elbv2").describe_load_balancers()["LoadBalancers"] == []
    name = shop.public.removeprefix("http://")
    run = cluster.run(BUSYBOX, f"nslookup -type=a {name}.")
    assert "NXDOMAIN" in run.output
