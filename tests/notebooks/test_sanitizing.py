"""What is left out of the comparison of notebooks is as little as it has to be."""

import nbformat
import pytest
from sanitizing import DIRECTORY, rules, sanitized, touched

from eksnet.course import catalogue

NAMES = [path.stem for path in catalogue.course()]


def cells(name):
    found = nbformat.read(catalogue.find(name), as_version=4).cells
    return [cell for cell in found if cell.cell_type == "code"]


def test_every_file_of_rules_is_a_notebooks():
    assert {file.stem for file in DIRECTORY.glob("*.cfg")} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_touches_the_cells_that_it_is_for_and_no_others(name):
    wanted = {rule: rules(name)[rule]["cells"].split() for rule in rules(name).sections()}
    assert touched(name, cells(name)) == wanted
    assert all(wanted.values())


def test_few_cells_are_touched_at_all():
    found = {name: {cell for one in touched(name, cells(name)).values() for cell in one}
             for name in NAMES}  # fmt: skip
    assert {name: len(found[name]) for name in found if found[name]} == {
        "01a_dns_records": 1,
        "01c_dns_troubleshooting": 1,
        "03a_rules_and_packets": 7,
        "03b_modes_and_growth": 4,
        "03c_service_faults": 1,
        "05_lab_hosts": 1,
        "08a_lab_ingress": 1,
        "08b_ingress_https_and_faults": 1,
    }


def test_only_the_measured_curves_are_not_compared():
    markers = ("NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP", "NBVAL_RAISES_EXCEPTION")
    ignored = [
        (name, cell.id)
        for name in NAMES
        for cell in cells(name)
        if any(marker in cell.source for marker in markers)
        or any("nbval" in tag for tag in cell.metadata.get("tags", ()))
    ]
    assert ignored == [
        ("02b_coredns_scaling", "measure-chart"),
        ("03b_modes_and_growth", "lookup"),
    ]


@pytest.mark.parametrize("gap", ["\n", "\n\n", "\n\n\n"])
def test_blank_lines_of_nslookup_do_not_count_but_its_words_do(gap):
    header = "Server:\t\t10.100.0.10\nAddress:\t10.100.0.10:53"
    said = f"{header}{gap}Name:\tmyapp.local\nAddress: 10.43.0.1"
    assert sanitized("05_lab_hosts", said)[0] == f"{header}\nName:\tmyapp.local\nAddress: 10.43.0.1"
    assert sanitized("05_lab_hosts", "a\n\nb")[0] == "a\n\nb"


TABLE = """\
chain                   rule                        packets
KUBE-SVC-AAAA           web{first} 0
{chain}  DNAT to {address}:8080{second} 3"""


def test_a_column_of_addresses_may_be_wider_and_every_word_still_counts():
    narrow = TABLE.format(
        chain="KUBE-SEP-ABCDEF", address="10.0.129.2", first=" " * 24, second=" " * 4
    )
    wide = TABLE.format(
        chain="KUBE-SEP-ZYXWVU", address="10.0.129.12", first=" " * 25, second=" " * 4
    ).replace("rule   ", "rule    ")
    for name in ("03a_rules_and_packets", "03b_modes_and_growth"):
        same = sanitized(name, narrow)[0]
        assert sanitized(name, wide)[0] == same
        for change in (("129", "145"), ("8080", "8081"), ("web", "wbe"), (" 3", " 4")):
            assert sanitized(name, wide.replace(*change))[0] != same


def test_chains_of_invented_pods_are_compared():
    invented = "KUBE-SEP-RUHANJR3PULKENPT  DNAT to 10.64.0.0:8080"
    assert sanitized("03a_rules_and_packets", invented) == (invented, set())


def test_a_table_without_addresses_keeps_its_columns():
    for name in NAMES:
        assert sanitized(name, "service   rules\nweb       8") == (
            "service   rules\nweb       8",
            set(),
        )


def test_a_packets_picture_counts_by_the_words_beside_it():
    def shown(picture, words):
        image = f'<img alt="{words}" src="data:image/svg+xml;base64,{picture}"/>'
        return sanitized("03a_rules_and_packets", image)[0]

    way = "chain PREROUTING; the packet: tcp {} -&gt; 10.100.7.7:80"
    near, far = way.format("10.0.129.9"), way.format("10.0.129.12")
    assert shown("PHN2+/4=", near) == shown("PHN3", far)
    assert shown("PHN2", near) != shown("PHN2", near.replace("PREROUTING", "FORWARD"))
    # A curve, and whatever else shows no packet, is compared to the byte.
    assert shown("PHN2", "rules: 23 at 10") != shown("PHN3", "rules: 23 at 10")
