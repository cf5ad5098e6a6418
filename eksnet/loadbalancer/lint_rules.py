"""The rules for manifests: a row for each.

A new rule is a row of `RULES`, its function in `lint_values` or `lint_objects`, a section of
docs/manifest-rules.md with its examples, and nothing else: the tests walk both.
"""

from __future__ import annotations

from eksnet.loadbalancer import lint_objects, lint_values
from eksnet.loadbalancer.linting import ERROR, WARNING, Rule

RULES: tuple[Rule, ...] = (
    Rule("yaml", ERROR, "not YAML, or no object", lint_values.unreadable),
    Rule("object", ERROR, "no object that the API server takes", lint_values.bad_objects),
    Rule("text-value", ERROR, "an annotation that is no text", lint_values.not_texts),
    Rule("variable", ERROR, "a variable that was not replaced", lint_values.variables),
    Rule("unknown-annotation", ERROR, "an annotation that is not read", lint_values.unknown),
    Rule("not-yet", ERROR, "what the release does not know yet", lint_values.not_yet),
    Rule("wrong-kind", ERROR, "an annotation on the wrong kind", lint_values.wrong_kind),
    Rule("deprecated", WARNING, "an annotation with a successor", lint_values.deprecated),
    Rule("value", ERROR, "a value of another type", lint_values.bad_values),
    Rule("range", ERROR, "a number out of its range", lint_values.out_of_range),
    Rule("network", ERROR, "no network", lint_values.bad_networks),
    Rule("group-name", ERROR, "no name of a group", lint_values.bad_group_name),
    Rule("json", ERROR, "a value that is not JSON", lint_values.not_json),
    Rule("json-fields", ERROR, "fields that are missing or not read", lint_values.json_fields),
    Rule("attribute", ERROR, "an attribute that AWS does not have", lint_values.bad_attributes),
    Rule("load-balancer-name", ERROR, "a name that AWS refuses", lint_values.bad_names),
    Rule("no-class", ERROR, "an Ingress without a class", lint_objects.no_class),
    Rule("other-class", ERROR, "a class of another controller", lint_objects.other_class),
    Rule("two-classes", ERROR, "a class in two places", lint_objects.two_classes),
    Rule("path", ERROR, "a path that the API server refuses", lint_objects.bad_paths),
    Rule("path-wildcard", ERROR, "a wildcard where none is allowed", lint_objects.wildcards),
    Rule("root-only", WARNING, "a path that matches / alone", lint_objects.root_only),
    Rule("missing-action", WARNING, "an action that is not there", lint_objects.missing_actions),
    Rule("unused-annotation", ERROR, "an action that no path uses", lint_objects.unused),
    Rule("rule-values", ERROR, "too many values in a rule", lint_objects.many_values),
    Rule("service-type", ERROR, "instances behind a ClusterIP", lint_objects.service_types),
    Rule(
        "service-port", ERROR, "a port that the Service does not have", lint_objects.service_ports
    ),
    Rule(
        "service-namespace", WARNING, "a Service in another namespace", lint_objects.other_namespace
    ),
    Rule(
        "service-class", ERROR, "a Service that the controller ignores", lint_objects.service_class
    ),
    Rule("listed-port", ERROR, "a list with a port that is not there", lint_objects.listed_ports),
    Rule(
        "own-security-groups",
        WARNING,
        "security groups without backend rules",
        lint_objects.own_groups,
    ),
    Rule(
        "ignored-networks", ERROR, "networks beside security groups", lint_objects.ignored_networks
    ),
    Rule("ssl-redirect", ERROR, "a redirect to no listener", lint_objects.ssl_redirect),
    Rule("certificate", ERROR, "HTTPS without a certificate", lint_objects.no_certificate),
    Rule("subnets", ERROR, "fewer than two subnets", lint_objects.few_subnets),
    Rule("group-conflict", ERROR, "members of a group that disagree", lint_objects.conflicts),
    Rule(
        "default-backends", ERROR, "two default backends in a group", lint_objects.default_backends
    ),
    Rule("group-order", WARNING, "members of a group with one order", lint_objects.same_order),
    Rule("limits", WARNING, "more than AWS gives by default", lint_objects.limits),
    Rule("binding", ERROR, "a binding that the controller refuses", lint_objects.bindings),
    Rule(
        "binding-networking", WARNING, "a binding that opens nothing", lint_objects.closed_bindings
    ),
)
