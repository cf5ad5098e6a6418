"""What the webhook for roles of pods adds; upstream's own cases, told in the table."""

import base64
import copy
import io
import json

import pytest

from eksnet.sandbox.aws.eks.pod_identity_webhook import Identity, identity, patch

ROLE = "arn:aws:iam::111122223333:role/web"
REGION, ENDPOINT = "ap-northeast-2", "http://10.0.0.11"
MOUNTED = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
ANNOTATED = {"eks.amazonaws.com/role-arn": ROLE}
# In upstream's order; the last two are the sandbox's own.
ADDED = {
    "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_ROLE_ARN": ROLE,
    "AWS_WEB_IDENTITY_TOKEN_FILE": f"{MOUNTED}/token",
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_ENDPOINT_URL_STS": ENDPOINT,
}


def pod(*containers, annotations=None, **spec):
    metadata = {"generateName": "web-", **({"annotations": annotations} if annotations else {})}
    listed = list(containers) or [{"name": "main", "image": "busybox"}]
    return {"metadata": metadata, "spec": {"containers": listed, **spec}}


def applied(one, changes):
    """Return a pod after a patch: of JSON Patch (RFC 6902), what the webhook uses."""
    changed = copy.deepcopy(one)
    for change in changes:
        assert change["op"] == "add"
        _, first, *steps = change["path"].split("/")
        assert first == "spec" and len(steps) in (1, 2)
        if len(steps) == 2:
            changed["spec"][steps[0]].insert(int(steps[1]), change["value"])
        else:
            changed["spec"][steps[0]] = change["value"]
    return changed


def patched(one, wanted=None):
    wanted = wanted or Identity(ROLE)
    return applied(one, patch(one, wanted, REGION, ENDPOINT))["spec"]


def variables(container):
    return {one["name"]: one["value"] for one in container.get("env", ())}


@pytest.mark.parametrize(
    ("account", "of_pod", "wanted"),
    [
        ({}, {}, None),
        ({"eks.amazonaws.com/role-arn": ""}, {}, None),
        (ANNOTATED, {}, Identity(ROLE, "sts.amazonaws.com", 86400, True)),
        (ANNOTATED | {"eks.amazonaws.com/audience": "own"}, {}, Identity(ROLE, "own")),
        (
            ANNOTATED | {"eks.amazonaws.com/token-expiration": "3600"}, {},
            Identity(ROLE, expiration=3600),
        ),
        (
            ANNOTATED | {"eks.amazonaws.com/token-expiration": "3600"},
            {"eks.amazonaws.com/token-expiration": "7200"}, Identity(ROLE, expiration=7200),
        ),
        (
            ANNOTATED | {"eks.amazonaws.com/token-expiration": "60"}, {},
            Identity(ROLE, expiration=600),
        ),
        (ANNOTATED | {"eks.amazonaws.com/token-expiration": "a day"}, {}, Identity(ROLE)),
        (
            ANNOTATED | {"eks.amazonaws.com/sts-regional-endpoints": "false"}, {},
            Identity(ROLE, regional=False),
        ),
        (ANNOTATED | {"eks.amazonaws.com/sts-regional-endpoints": "no"}, {}, Identity(ROLE)),
    ],
)  # fmt: skip
def test_what_the_annotations_ask_for(account, of_pod, wanted):
    assert identity(account, of_pod) == wanted


def test_each_container_gets_the_token_and_the_variables():
    spec = patched(pod(initContainers=[{"name": "first", "image": "busybox"}]))
    assert spec["volumes"] == [
        {
            "name": "aws-iam-token",
            "projected": {
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": "sts.amazonaws.com",
                            "expirationSeconds": 86400,
                            "path": "token",
                        }
                    }
                ]
            },
        }
    ]
    for container in (*spec["containers"], *spec["initContainers"]):
        assert list(variables(container).items()) == list(ADDED.items())
        assert container["volumeMounts"] == [
            {"name": "aws-iam-token", "readOnly": True, "mountPath": MOUNTED}
        ]


def test_what_a_pod_has_stays():
    own = [
        {"name": "AWS_REGION", "value": "eu-west-1"},
        {"name": "AWS_ROLE_ARN", "value": "own"},
        {"name": "AWS_ENDPOINT_URL", "value": "http://own"},
    ]
    mounts = [{"name": "data", "mountPath": "/data"}]
    asked = pod({"name": "main", "env": own, "volumeMounts": mounts}, volumes=[{"name": "data"}])
    spec = patched(asked)
    (container,) = spec["containers"]
    assert variables(container) == {
        "AWS_REGION": "eu-west-1",
        "AWS_ROLE_ARN": "own",
        "AWS_ENDPOINT_URL": "http://own",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    }
    assert [one["name"] for one in container["volumeMounts"]] == ["data", "aws-iam-token"]
    assert [one["name"] for one in spec["volumes"]] == ["aws-iam-token", "data"]


def test_a_second_time_nothing_is_added():
    once = pod()
    spec = patched(once)
    assert patched({**once, "spec": spec}) == spec


def test_containers_that_a_pod_leaves_out():
    skipped = {"eks.amazonaws.com/skip-containers": "first, sidecar"}
    asked = pod(
        {"name": "main"}, {"name": "sidecar"}, annotations=skipped,
        initContainers=[{"name": "first"}],
    )  # fmt: skip
    spec = patched(asked)
    assert spec["containers"][1:] == [{"name": "sidecar"}]
    assert spec["initContainers"] == [{"name": "first"}]
    assert "env" in spec["containers"][0]


def test_without_the_regional_endpoint():
    (container,) = patched(pod(), Identity(ROLE, regional=False))["containers"]
    assert "AWS_STS_REGIONAL_ENDPOINTS" not in variables(container)


# As the API server asks.


def review(side, body, path="/mutate", method="POST"):
    text = json.dumps(body).encode()
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(text)),
        "wsgi.input": io.BytesIO(text),
    }  # fmt: skip
    seen = []
    answer = b"".join(side.side.webhooks(environ, lambda status, _: seen.append(status)))
    return seen[0], json.loads(answer) if answer else None


def asked_for(one, namespace="shop"):
    request = {"uid": "u-1", "namespace": namespace, "object": one}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def test_a_pod_of_an_account_with_a_role_is_changed(side):
    side.cluster.accounts["shop", "web"] = ANNOTATED
    status, told = review(side, asked_for(pod(serviceAccountName="web")))
    assert status == "200 OK"
    assert (told["apiVersion"], told["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response = told["response"]
    assert (response["uid"], response["allowed"]) == ("u-1", True)
    assert response["patchType"] == "JSONPatch"
    changes = json.loads(base64.b64decode(response["patch"]))
    assert changes == patch(
        pod(), Identity(ROLE), REGION, f"http://127.0.0.1:{side.settings.port}"
    )  # fmt: skip


@pytest.mark.parametrize("account", [None, {}, {"other": "x"}])
def test_any_other_pod_is_let_through_as_it_is(side, account):
    if account is not None:
        side.cluster.accounts["shop", "default"] = account
    _, told = review(side, asked_for(pod()))
    assert told["response"] == {"uid": "u-1", "allowed": True}


@pytest.mark.parametrize("body", [{}, [], {"request": "x"}, {"spec": {}}])
def test_what_is_no_review_is_refused(side, body):
    assert review(side, body) == ("400 Bad Request", None)


def test_the_authenticator_is_beside_it(side):
    status, told = review(side, {"spec": {"token": "x"}}, "/authenticate")
    assert (status, told["status"]["authenticated"]) == ("200 OK", False)
