"""The rules for manifests: each by the examples of its section in docs/manifest-rules.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eksnet import cli
from eksnet.errors import EksnetError
from eksnet.loadbalancer import json_values, lint_values, linting, values
from eksnet.loadbalancer.annotations import catalogue
from eksnet.loadbalancer.catalogues import INGRESS, SERVICE
from eksnet.loadbalancer.lint_rules import RULES
from eksnet.loadbalancer.linting import ERROR, WARNING, lint, summary

PAGE = (Path(__file__).parents[2] / "docs" / "manifest-rules.md").read_text()
SECTIONS = {
    text.partition("\n")[0]: text for text in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
SEVERITIES = {rule.id: rule.severity for rule in RULES}


def examples(rule):
    """Return the wrong and the right example of a rule's section."""
    wrong, right = re.findall(r"^```yaml\n(.*?)^```$", SECTIONS[rule], re.MULTILINE | re.DOTALL)
    return wrong, right


def found(text, **known):
    return [one.rule for one in lint(text, **known)]


def test_each_rule_has_a_section_and_each_section_a_rule():
    assert list(SECTIONS) == [rule.id for rule in RULES]


@pytest.mark.parametrize("rule", SECTIONS)
def test_a_rule_finds_its_wrong_example_and_nothing_finds_its_right_one(rule):
    wrong, right = examples(rule)
    # Another rule may find a consequence of the same mistake.
    assert rule in found(wrong)
    assert found(right) == []
    severity = {one.severity for one in lint(wrong) if one.rule == rule}
    assert severity == {SEVERITIES[rule]}
    assert SECTIONS[rule].split("\n\n")[1].startswith(SEVERITIES[rule].capitalize())
    assert all(one.seen and one.fix and one.severity in (ERROR, WARNING) for one in lint(wrong))


def ingress(*notes, name="web", spec=""):
    noted = "".join(f"    {note}\n" for note in notes)
    spec = spec or (
        "  rules:\n    - http:\n        paths:\n          - {path: /, pathType: Prefix,"
        " backend: {service: {name: web, port: {number: 80}}}}\n"
    )
    return (
        f"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n"
        f"  annotations:\n    other.example/key: x\n{noted}spec:\n  ingressClassName: alb\n{spec}"
    )


def service(*notes, kind="LoadBalancer"):
    noted = "".join(f"    {note}\n" for note in notes)
    return (
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations:\n"
        f"    other.example/key: x\n{noted}spec:\n  type: {kind}\n"
        "  ports: [{name: http, port: 80}]\n"
    )


def path_of(path, kind):
    old = "path: /, pathType: Prefix"
    assert old in ingress()
    return ingress().replace(old, f'path: "{path}", pathType: {kind}')


A, S = INGRESS, f"{SERVICE}aws-load-balancer-"
ONE = [
    # The values that Go's ParseBool and ParseInt take.
    (ingress(f'{A}use-regex-path-match: "T"'), []),
    (ingress(f'{A}use-regex-path-match: "yes"'), ["value"]),
    (ingress(f'{A}group.order: "+7"'), []),
    (ingress(f'{A}group.order: "1e3"'), ["value"]),
    (ingress(f'{A}group.order: "1001"'), ["range"]),
    (ingress(f'{A}healthcheck-timeout-seconds: "15"'), ["range"]),
    (ingress(f'{A}healthcheck-port: "0"'), ["range"]),
    (ingress(f"{A}healthcheck-port: metrics"), []),
    (ingress(f"{A}scheme: Internal"), ["value"]),
    (ingress(f"{A}tags: Team=a,Stage"), ["value"]),
    (ingress(f"{A}tags: Team=a\\,b"), []),
    (ingress(f"{A}load-balancer-attributes: idle_timeout.timeout_seconds=5000"), ["attribute"]),
    (ingress(f"{A}target-group-attributes: stickines.enabled=true"), ["attribute"]),
    (ingress(f"{A}target-group-attributes: load_balancing.cross_zone.enabled="
             "use_load_balancer_configuration"), []),
    (ingress(f'{A}load-balancer-name: "a_b"'), ["load-balancer-name"]),
    (ingress(f"{A}load-balancer-name: internal-web"), ["load-balancer-name"]),
    (ingress(f"{A}load-balancer-name: {'a' * 32}"), []),
    (ingress(f"{A}load-balancer-name: {'a' * 33}"), ["load-balancer-name"]),
    (ingress(f"{A}load-balancer-name: eks-${{IDE_NAME}}"), ["variable"]),
    (ingress(f"{A}transforms.web: '[{{\"type\": \"url-rewrite\", \"urlRewriteConfig\":"
             " {\"rewrites\": [{\"regex\": \"^/api/(.+)$\", \"replace\": \"/$1\"}]}}]'"), []),
    (ingress(f"{A}transforms.web: '[{{\"type\": \"url\"}}]'"), ["json-fields"]),
    (ingress(f"{A}conditions.web: '[{{\"field\": \"host\"}}]'"), ["json-fields"]),
    (ingress(f"{A}listen-ports: '[{{\"TCP\": 80}}]'"), ["json-fields"]),
    (ingress(f"{A}listen-ports: '[{{\"HTTP\": 80}}, {{\"HTTPS\": 80}}]'"), ["json-fields"]),
    (ingress(f"{A}listen-ports: '[]'"), ["json-fields"]),
    (ingress(f"{A}listen-ports: '[{{\"HTTP\": \"80\"}}]'"), ["json-fields"]),
    (ingress(f"{A}mutual-authentication: '[{{\"port\": 443, \"mode\": \"verify\"}}]'"),
     ["json-fields"]),
    (ingress(f"{A}auth-idp-oidc: '{{\"issuer\": \"https://id.example\"}}'"), ["json-fields"] * 4),
    (ingress(f'{A}create-acm-cert: "true"'), []),
    # What an Ingress may say of a Service, the Service may say too.
    (service(f"{A}target-type: ip", kind="ClusterIP"), []),
    (service(f"{S}healthcheck-protocol: http"), []),
    (service(f"{S}healthcheck-protocol: grpc"), ["value"]),
    (service(f'{S}proxy-protocol: "true"'), ["value"]),
    (service(f"{S}proxy-protocol-per-target-group: http"), ["value"]),
    (service(f'{S}proxy-protocol-per-target-group: "80, ,443,"'), []),
    (service(f'{S}proxy-protocol-per-target-group: "80,{2**63}"'), ["value"]),
    (service(f"{S}healthcheck-port: http"), []),
    (service(f"{S}healthcheck-port: traffic-port"), []),
    (service(f"{S}healthcheck-port: integer"), ["service-port"]),
    (service(f"{S}type: nlb"), ["service-class"]),
    (service(f"{S}type: external", f"{S}nlb-target-type: ip", kind="NodePort"), []),
    (service(f"{S}extra-security-groups: sg-1"), ["unknown-annotation"]),
    (service(f"{S}target-group-attributes.80: stickiness.enabled=true"), []),
    (service(f"{S}actions.TCP-80: '{{}}'"), ["unknown-annotation"]),
    (service(f"{SERVICE}actions.TCP-80: '{{\"type\": \"forward\", \"forwardConfig\":"
             " {\"targetGroups\": [{\"serviceName\": \"a\", \"servicePort\": 80}]}}'"), []),
    (service(f"{SERVICE}load-balancer-source-ranges: 10.0.0.0"), ["network"]),
    (service(f"{SERVICE}azure-load-balancer-internal: 'true'"), []),
    # What the API server says of each of them, test_lint_differential.py asks.
    *((path_of(path, kind), rules) for path, kind, rules in (
        ("a", "Prefix", ["path"]), ("", "Exact", ["path"]), ("/a.", "Prefix", []),
        ("a", "ImplementationSpecific", ["path"]), ("", "ImplementationSpecific", []),
        ("/a//b", "Prefix", ["path"]), ("/a/..", "Exact", ["path"]), ("/a%2Fb", "Exact", ["path"]),
        ("/a/../b", "ImplementationSpecific", []),
    )),
    # Objects of other controllers are none of its business.
    (ingress().replace("alb", "nginx").replace(": /,", ": /*,"), []),
    ("kind: Deployment\nmetadata: {name: web}\napiVersion: apps/v1\nspec: {a: $HOME}\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rules"), ONE)
def test_one_object(text, rules):
    assert found(text) == rules


def test_a_finding_has_the_line_of_its_annotation_and_its_object():
    text = f"{service()}---\n{ingress(f'{A}shceme: internal')}"
    (one,) = lint(text)
    line = text.splitlines().index(f"    {A}shceme: internal") + 1
    assert (one.rule, one.line, one.object) == ("unknown-annotation", line, "Ingress web")
    assert one.fix == f"did you mean {A}scheme?"


@pytest.mark.parametrize("one", catalogue(), ids=lambda one: one.short)
def test_an_annotation_is_known_from_its_release_on(one):
    if one.since == "2.0.0":
        return
    major, minor, _ = map(int, one.since.split("."))
    before = f"{major}.{minor - 1}" if minor else "2.17"
    make = ingress if one.kinds[0] == "Ingress" else service
    text = make(f"{re.sub(r'[$]{[^}]*}', '80', one.name)}: x")
    assert "not-yet" in found(text, controller=before)
    assert "not-yet" not in found(text, controller=one.since)


def test_a_word_is_known_from_its_release_on():
    text = ingress(f"{A}ip-address-type: dualstack-without-public-ipv4")
    assert found(text, controller="2.7") == ["not-yet"]
    assert found(text, controller="2.8.0") == found(text) == []
    later = ingress(f'{A}dry-run-plan: "true"')
    assert found(later) == ["not-yet"]
    assert found(later, controller="3.4") == []


def test_attributes_are_those_of_the_api():
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("elbv2", "service-2")["shapes"]
    named = re.compile(r"<li> <p> <code>([a-z0-9_.]+)</code>")
    # Values of attributes, and attributes of Lambda functions and other load balancers.
    others = re.compile(r"lambda|target_failover|send_tcp_reset|source_ip|lb_cookie$")
    for shape, part in (("LoadBalancerAttribute", False), ("TargetGroupAttribute", True)):
        documented = set(named.findall(shapes[shape]["members"]["Key"]["documentation"]))
        ours = {
            one for key, names in lint_values.ATTRIBUTES.items() for one in names
            if ("target-group" in key) == part
        }  # fmt: skip
        assert ours == {one for one in documented if not others.match(one)}


GROUP = f"{A}group.name: shop"
CONFLICTS = [
    (["scheme: internal"], ["scheme: internet-facing"], 1),
    (["scheme: internal"], [], 0),
    (["subnets: 'a, b'"], ["subnets: 'b,a'"], 0),
    (["security-groups: a", 'manage-backend-security-group-rules: "true"'],
     ["security-groups: b"], 1),
    (['manage-backend-security-group-rules: "true"'],
     ['manage-backend-security-group-rules: "T"'], 0),
    (["tags: a=1"], ["tags: b=2"], 0),
    (["tags: a=1,c=3"], ["tags: a=2,c=3"], 1),
    (["load-balancer-attributes: idle_timeout.timeout_seconds=60"],
     ["load-balancer-attributes: idle_timeout.timeout_seconds=61"], 1),
    (["inbound-cidrs: 10.0.0.0/8"], ["inbound-cidrs: 10.1.0.0/16"], 1),
    (["inbound-cidrs: 10.0.0.0/8"],
     ["inbound-cidrs: 10.1.0.0/16", "listen-ports: '[{\"HTTP\": 8080}]'"], 0),
    (["listen-ports: '[{\"HTTP\": 8443}]'"], ["listen-ports: '[{\"HTTPS\": 8443}]'"], 1),
    (["listen-ports: '[{\"HTTP\": 80}]'"], ["listen-ports: '[{\"HTTP\": 81}]'"], 0),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "count"), CONFLICTS)
def test_members_of_a_group(first, second, count):
    both = "---\n".join(
        ingress(GROUP, *(f"{A}{note}" for note in notes), name=name)
        for name, notes in (("one", first), ("two", second))
    )
    conflicts = [one for one in lint(both) if one.rule == "group-conflict"]
    assert len(conflicts) == count
    assert all("default/one" in one.seen and one.object == "Ingress two" for one in conflicts)


def test_an_ingress_without_a_class_is_no_member_of_its_group():
    first = ingress(GROUP, f"{A}scheme: internal").replace("  ingressClassName: alb\n", "")
    second = ingress(GROUP, f"{A}scheme: internet-facing", name="b")
    assert found(f"{first}---\n{second}") == ["no-class"]


def test_a_class_with_parameters_counts_before_annotations():
    made = (
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: alb\n"
        '  annotations: {ingressclass.kubernetes.io/is-default-class: "true"}\n'
        "spec: {controller: ingress.k8s.aws/alb, parameters: {kind: IngressClassParams,"
        " apiGroup: elbv2.k8s.aws, name: shop}}\n---\n"
        "apiVersion: elbv2.k8s.aws/v1beta1\nkind: IngressClassParams\nmetadata: {name: shop}\n"
        "spec: {group: {name: shop}, targetType: ip}\n---\n"
    )
    first, second = (
        ingress(f"{A}scheme: internal"),
        ingress(f"{A}scheme: internet-facing", name="b"),
    )
    text = f"{first}---\n{second}".replace("  ingressClassName: alb\n", "")
    assert found(text) == ["no-class", "no-class"]
    assert found(made + text) == ["group-conflict"]
    cluster_ip = service(kind="ClusterIP")
    assert found(f"{ingress()}---\n{cluster_ip}") == ["service-type"]
    assert found(f"{made}{ingress()}---\n{cluster_ip}") == []


def test_files_are_looked_at_together(tmp_path):
    (tmp_path / "a.yaml").write_text(ingress())
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.json").write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
             "spec": {"ports": [{"port": 80}]}}]})
    )  # fmt: skip
    assert [one.rule for one in lint(tmp_path)] == ["service-type"]
    assert [one.rule for one in lint([tmp_path / "a.yaml"])] == []
    assert [one.file for one in lint([tmp_path / "a.yaml", tmp_path / "sub"])] == [
        str(tmp_path / "a.yaml")
    ]


def test_the_result_is_shown_in_every_form():
    wrong = lint(examples("group-conflict")[0])
    assert "group-conflict" in repr(wrong) and "group-conflict" in wrong._repr_html_()
    assert list(wrong.to_frame().columns) == [
        "line", "severity", "object", "finding", "fix", "rule",
    ]  # fmt: skip
    assert summary(wrong) == "1 error, 0 warnings."
    assert summary(lint(ingress())) == "Nothing was found."


# The command.


def run(*words, **options):
    return CliRunner().invoke(cli.app, ["lint", *map(str, words)], **options)


def test_the_command_says_what_it_finds_and_where(tmp_path):
    file = tmp_path / "ingress.yaml"
    file.write_text(ingress(f"{A}shceme: internal"))
    done = run(file)
    assert done.exit_code == 1
    assert f"{file}:7: error: Ingress web: the controller reads no annotation" in done.stdout
    assert "[unknown-annotation]" in done.stdout and f"did you mean {A}scheme?" in done.stdout
    assert "1 error, 0 warnings." in done.stdout
    file.write_text(ingress())
    assert run(file).exit_code == 0


def test_the_command_reads_the_standard_input_and_writes_json():
    text = ingress(f'{A}jwt-validation: \'{{"jwksEndpoint": "a", "issuer": "b"}}\'')
    assert run("-", input=text).exit_code == 0
    done = run("-", "--controller", "2.7", "--json", input=text)
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["controller"], said["errors"], said["warnings"]) == ("2.7", 1, 0)
    assert [(one["file"], one["rule"]) for one in said["findings"]] == [("-", "not-yet")]


def test_a_template_of_helm_is_named(tmp_path):
    file = tmp_path / "ingress.yaml"
    file.write_text("kind: Ingress\nmetadata:\n  name: {{ .Values.name }}\n  labels: {{- x }}\n")
    done = run(file)
    assert done.exit_code == 1
    assert "it is a template of Helm" in done.stdout
    assert "[yaml]" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.yaml"], "missing.yaml cannot be read: No such file"),
        (["."], "has no file that ends with"),
        (["x.bin"], "is no text: line 1"),
        (["ok.yaml", "--controller", "1.1"], "'1.1' is not a release of the controller"),
        (["a\0b"], "FILE is 'a\\x00b'"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_looked_at_ends_with_2(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00")
    if "ok.yaml" in words:
        (tmp_path / "ok.yaml").write_text(ingress())
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


# Whatever it is given.

HOSTILE = [
    "[" * 200_000, "{a: " * 5000, "- " * 100_000, "a: &a [*a]", "kind: Ingress", "5", "''", "\t",
    "kind: Ingress\nmetadata: 5\nspec: []\n", "kind: [1]\nmetadata: {name: [2]}\n",
    "kind: Ingress\nmetadata: {name: a, annotations: [1]}\nspec: {rules: {a: b}}\n",
    "kind: Ingress\nmetadata: {name: a, annotations: {1: 2, '': x, ~: y}}\n",
    "? [a, b]\n: c\n", "2001-99-99", "!!python/object:os.system {}", "kind: List\nitems: [5, ~]\n",
    "a: &x [1]\nb: {<<: *x}", "\ufeff",
    "kind: Ingress\nspec: &s {rules: [*s]}\nmetadata: {name: a}",
    ingress(f"{A}listen-ports: '{'[' * 50_000}'"), ingress(f"{A}tags: '{'a=b,' * 20_000}'"),
    ingress(f"{A}group.order: '{'9' * 5000}'"), ingress(f"{A}{'x' * 50_000}: a"),
    ingress(f"{A}actions.web: '[null, 1, \"a\"]'"), ingress(f"{A}conditions.web: 'null'"),
    ingress(f"{A}conditions.web: '[null]'"), ingress(f"{A}actions.web: 'null'"),
    ingress(f"{A}jwt-validation: 'null'"), ingress(f"{A}mutual-authentication: '[null]'"),
    ingress(f"{A}listen-ports: '[null]'"), ingress(f"{A}transforms.web: '[null]'"),
    ingress(f"{A}actions.web: '{{\"type\": \"forward\", \"forwardConfig\":"
            " {\"targetGroups\": [null]}}'"),
    ingress(f"{A}actions.web: '{{\"type\": \"forward\", \"forwardConfig\": NaN}}'"),
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:30]))
def test_hostile_manifests_give_findings_or_none(text):
    assert all(one.seen and one.fix and one.file for one in lint(text))


KEYS = [*(re.sub(r"[$]{[^}]*}", "web", one.name) for one in catalogue()), f"{A}x", "y"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.sampled_from(
        ["forward", "redirect", "fixed-response", "host-header", "verify", "url-rewrite", "$A", ""]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["type", "field", "values", "forwardConfig", "targetGroups", "HTTP", "port", "mode",
             "hostHeaderConfig", "redirectConfig", "rewrites", "urlRewriteConfig", "statusCode"]
        ),
        inner, max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
VALUES = st.one_of(JSON.map(json.dumps), JSON, st.text(max_size=12))


@given(st.lists(st.fixed_dictionaries({
    "kind": st.sampled_from(["Ingress", "Service", "TargetGroupBinding", "IngressClass", 5]),
    "metadata": st.fixed_dictionaries({
        "name": st.sampled_from(["web", "", 7]),
        "annotations": st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
    }),
    "spec": st.one_of(JSON, st.just({"ingressClassName": "alb", "rules": [{"http": {"paths": [
        {"path": "/", "backend": {"service": {"name": "web", "port": {"name": "use-annotation"}}}}
    ]}}]})),
}), max_size=3))  # fmt: skip
def test_any_objects_give_findings_or_none(objects):
    text = "\n---\n".join(map(json.dumps, objects))
    assert all(one.seen and one.fix for one in lint(text))


def test_what_is_no_manifest_is_refused():
    with pytest.raises(EksnetError, match="a manifest is of type int"):
        lint([5])
    with pytest.raises(EksnetError, match="is not a release of the controller"):
        lint("", controller="x")
    assert found("") == []
    assert linting.lint_texts([]).rows == ()


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("a=1,b=2", {"a": "1", "b": "2"}),
        (" a = 1 , b=2 ", {"a": "1", "b": "2"}),
        (r"a=1\,2,b=3", {"a": "1,2", "b": "3"}),
        ("a=1,", {"a": "1,"}),
        ("a=b=c", {"a": "b=c"}),
        ("a", None),
        ("a=1,b", None),
        ("=1", None),
        ("", {}),
    ],
)
def test_keys_and_values_are_split_as_the_controller_splits_them(text, pairs):
    assert values.string_map(text) == pairs


def test_fields_are_read_as_go_reads_them():
    conditions = [
        {"field": "source-ip", "sourceIpConfig": {"Values": ["10.0.0.0/8", "10.1.0.0/16"]}},
        {"Field": "host-header", "hostHeaderConfig": {"regexValues": ["a"]}},
    ]
    assert list(json_values.problems("conditions", conditions)) == []
    assert json_values.condition_values(conditions) == 3
    good = {"Type": "redirect", "redirectconfig": {"STATUSCODE": "HTTP_301"}}
    assert list(json_values.problems("actions", good)) == []
    (wrong,) = json_values.problems("actions", {"type": "redirect", "redirect": {}})
    assert wrong.fix == "did you mean redirectConfig?"
    (wrong,) = json_values.problems("actions", {"type": "redirect", "redirectConfig": {}})
    assert wrong.seen == "redirectConfig.statusCode is missing"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("alb", "alb", []), ("nginx", "alb", ["two-classes"]), ("alb", "nginx", ["two-classes"])],
)
def test_one_class_may_stand_in_both_places(old, new, expected):
    text = ingress(f"kubernetes.io/ingress.class: {old}").replace(
        "ingressClassName: alb", f"ingressClassName: {new}"
    )
    assert found(text) == expected


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("traffic-port", []), ("8080", []), ("http", []), ("htpp", ["service-port"]),
        ("$PORT", ["variable"]),
    ],
)  # fmt: skip
def test_the_port_of_a_health_check_is_one_of_the_service(port, expected):
    text = ingress(f'{A}healthcheck-port: "{port}"')
    behind = service(kind="NodePort")
    assert found(f"{text}---\n{behind}") == expected
