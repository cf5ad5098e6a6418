"""The catalogues of the controller's annotations, held to its guide and its code."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "data"))
import controller_annotations as made
import gomodules

from eksnet import data, versions
from eksnet.errors import EksnetError
from eksnet.loadbalancer import annotations, catalogues
from eksnet.loadbalancer.releases import FIRST, PINNED, release_of, written

ALB, NLB = catalogues.INGRESS, catalogues.SERVICE


def stored(name):
    with (data.directory() / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_catalogue_of_the_engines_version_is_what_its_source_gives():
    assert versions.CONTROLLER.startswith("v3.3.")
    assert stored("controller_annotations_v3.3") == made.pinned()


@pytest.mark.parametrize(
    ("version", "of_ingress", "of_service", "merge"),
    [
        ("2.7", 42, 35, {"Exclusive": 15, "Merge": 3, "": 24}),
        ("3.3", 67, 48, {"Exclusive": 23, "Merge": 5, "": 38, "false": 1}),
    ],
)
def test_a_catalogue_has_every_row_of_the_guide(version, of_ingress, of_service, merge):
    rows = [row for row in stored(f"controller_annotations_v{version}") if row["in_table"] == "yes"]
    ingress = [row for row in rows if row["annotation"].startswith(ALB)]
    assert (len(ingress), len(rows) - len(ingress)) == (of_ingress, of_service)
    assert Counter(row["merge"] for row in ingress) == merge


def test_only_the_code_has_the_rest():
    rest = [row["annotation"] for row in stored("controller_annotations_v3.3")
            if row["in_table"] == "no"]  # fmt: skip
    assert [name.removeprefix(ALB) for name in rest] == [
        "acm-pca-arn", "create-acm-cert", "wafv2-acl-name", "web-acl-id",
    ]  # fmt: skip


def test_each_annotation_has_a_type_a_place_and_a_release():
    for version in catalogues.VERSIONS:
        for one in annotations.catalogue(version):
            assert one.type, one.name
            assert set(one.kinds) <= {"Ingress", "Service"}
            assert FIRST <= release_of(one.since) <= release_of(version)


NOTES = stored("controller_annotation_notes")


@pytest.mark.parametrize("note", NOTES, ids=lambda note: f"{note['annotation']}-{note['column']}")
def test_a_note_corrects_what_the_guide_says_and_names_a_function(note):
    file, function = note["source"].split()
    source = (gomodules.directory(gomodules.CONTROLLER) / file).read_text()
    assert f") {function}(" in source
    said = {row["annotation"]: row for row in stored("controller_annotations_v3.3")}
    row = said.get(note["annotation"], {note["column"]: ""})
    assert row[note["column"]] == note["guide"] != note["controller"]


def test_what_the_code_does_counts():
    assert annotations.find("healthcheck-protocol").default == "the backend-protocol"
    assert annotations.find("use-regex-path-match").merge == ""
    assert annotations.find("frontend-nlb-attributes").type == "stringMap"
    assert annotations.find(f"{NLB}actions.TCP-80").since == "2.16.0"
    assert catalogues.matching(f"{NLB}aws-load-balancer-actions.TCP-80") is None


FOUND = [
    ("scheme", f"{ALB}scheme"),
    (f"{ALB}scheme", f"{ALB}scheme"),
    ("aws-load-balancer-scheme", f"{NLB}aws-load-balancer-scheme"),
    (f"{ALB}actions.to-shop.v2", f"{ALB}actions.${{action-name}}"),
    ("actions.${action-name}", f"{ALB}actions.${{action-name}}"),
    (f"{NLB}actions.TCP-80", f"{NLB}actions.${{Protocol}}-${{Port}}"),
    ("listener-attributes.HTTPS-443", f"{ALB}listener-attributes.${{Protocol}}-${{Port}}"),
    (
        f"{NLB}aws-load-balancer-target-group-attributes.80",
        f"{NLB}aws-load-balancer-target-group-attributes.${{port}}",
    ),
]


@pytest.mark.parametrize(("name", "found"), FOUND)
def test_an_annotation_is_found_by_its_key(name, found):
    assert annotations.find(name).name == found


@pytest.mark.parametrize(
    ("name", "version", "says"),
    [
        ("shceme", "3.3", f"did you mean {ALB}scheme?"),
        ("alb.ingress.kubernetes.io/certificate-arns", "2.7", f"{ALB}certificate-arn?"),
        ("jwt-validation", "2.7", "reads no annotation 'jwt-validation'"),
        ("", "3.3", "the annotation is empty"),
        ("zzz", "3.3", "catalogue()"),
        ("scheme", "2.8", "one of 2.7, 3.3"),
    ],
)
def test_what_is_not_found_says_what_is_meant(name, version, says):
    with pytest.raises(EksnetError) as raised:
        annotations.find(name, version)
    assert says in str(raised.value)


def test_words_are_searched_in_names_types_and_sections():
    assert len(annotations.search("health check interval")) == 3
    assert {one.short for one in annotations.search("jwt")} == {"jwt-validation"}
    assert len(annotations.search("COGNITO", "2.7")) == 2
    assert len(annotations.search("no such word")) == 0


def test_two_versions_are_compared():
    changes = annotations.compare()
    count = Counter(one.change for one in changes)
    assert count["removed"] == 0
    added = {one.name for one in changes if one.change == "added"}
    # 25 of the guide's Ingress table, 13 of that for Services, and what only the code has.
    assert len([name for name in added if name.startswith(ALB)]) == 25 + 3
    assert len([name for name in added if name.startswith(NLB)]) == 13 + 1
    changed = {(one.name.partition("/")[2], one.column) for one in changes if one.column}
    assert ("ip-address-type", "type") in changed
    assert ("mutual-authentication", "default") in changed
    assert not annotations.compare("3.3", "3.3")
    assert Counter(one.change for one in annotations.compare("3.3", "2.7"))["added"] == 0


def test_what_is_shown_is_in_every_form():
    one = annotations.find("healthcheck-protocol")
    assert "guide, default" in repr(one) and "guide, default" in one._repr_html_()
    assert dict(one.to_frame().to_numpy())["on"] == "Ingress, Service"
    table = annotations.catalogue().to_frame()
    assert list(table.columns) == ["annotation", "type", "default", "on", "in a group", "since"]
    assert len(table) == len(annotations.catalogue()) == 120
    assert len(annotations.corrections()) == len(NOTES)


@pytest.mark.parametrize(
    ("text", "release"),
    [("2.7", (2, 7, 999)), ("v2.7.2", (2, 7, 2)), ("3.3.0", (3, 3, 0)), ("v3.3", (3, 3, 999))],
)
def test_a_release_is_read(text, release):
    assert release_of(text) == release
    assert written(release) == text.removeprefix("v")


@pytest.mark.parametrize("text", ["", "1.1.9", "latest", "3", "3.3.0-rc1", "٣.٣", None, "2." * 9])
def test_a_release_that_is_none_is_refused(text):
    with pytest.raises(EksnetError, match="is not a release of the controller"):
        release_of(text)


def test_since_when_is_known_for_words_too():
    assert catalogues.since(f"{ALB}ip-address-type", "dualstack-without-public-ipv4") == "2.8.0"
    assert catalogues.since(f"{ALB}dry-run-plan") == "3.4.0"
    assert catalogues.since(f"{ALB}nothing") == ""
    assert catalogues.is_read(annotations.find("jwt-validation"), PINNED)
    assert not catalogues.is_read(annotations.find("jwt-validation"), release_of("2.14"))
