"""The notebooks' form, and what they print on a fresh cluster.

On a used one, and over `eks:`, all of them are in test_course_soak.py.
"""

import ast
import itertools
import re

import nbformat
import nbval_runs
import pytest
import sanitizing
from nbformat.v4 import new_code_cell, new_notebook, new_output

from eksnet.course import catalogue, runner

NAMES = [path.stem for path in catalogue.course()]


def compare(*names):
    """Run notebooks under nbval, every output compared with the committed one."""
    for name in names:
        rules = sanitizing.DIRECTORY / f"{name}.cfg"
        sanitize = ["--nbval-sanitize-with", rules] if rules.exists() else []
        done = nbval_runs.run(
            "--nbval-cell-timeout=300", "-q", "-x", *sanitize, catalogue.find(name)
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


class Compared:
    """Notebooks of which every output is compared, one after the other on a fresh cluster.

    `make test` gives each class to a worker of its own.
    """

    names = ()

    @pytest.mark.notebook
    @pytest.mark.sandbox
    def test_they_print_what_was_committed(self, fresh_sandbox):
        compare(*self.names)


class TestTroubleshooting(Compared):
    names = ("01c_dns_troubleshooting",)


class TestAddon(Compared):
    names = ("02a_coredns_addon",)


class TestGrowth(Compared):
    names = ("03b_modes_and_growth",)


class TestScaling(Compared):
    names = ("02d_coredns_autoscaling", "02b_coredns_scaling")


class TestCorefile(Compared):
    names = ("02c_corefile",)


class TestRules(Compared):
    names = ("03c_service_faults", "03a_rules_and_packets")


class TestLoadBalancers(Compared):
    names = ("04a_load_balancer_controller", "04b_annotations")


class TestHosts(Compared):
    names = ("05_lab_hosts",)


class TestController(Compared):
    names = ("07_lab_install_controller",)


class TestCname(Compared):
    names = ("06_lab_cname",)


class TestIngress(Compared):
    names = ("08a_lab_ingress", "08b_ingress_https_and_faults")


class TestBinding(Compared):
    names = ("09_lab_target_group_binding",)


class TestNames(Compared):
    names = ("01b_name_resolution", "01a_dns_records", "00_setup")


class TestCleanup(Compared):
    names = ("99_cleanup",)


def test_every_notebook_is_compared():
    assert {name for part in Compared.__subclasses__() for name in part.names} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [
        ("01a_dns_records", "records-01"),
        *(("01b_name_resolution", f"dns-0{number}") for number in (2, 3, 4)),
        ("02b_coredns_scaling", "scaling-02"),
        ("02b_coredns_scaling", "scaling-03"),
        ("02c_corefile", "corefile-01"),
        ("02c_corefile", "corefile-03"),
        ("02d_coredns_autoscaling", "scaling-05"),
        ("02d_coredns_autoscaling", "scaling-06"),
        ("03a_rules_and_packets", "proxy-02"),
        ("03b_modes_and_growth", "proxy-08"),
        ("04a_load_balancer_controller", "balancer-02"),
        ("04b_annotations", "annotations-01"),
        *(("05_lab_hosts", f"hosts-0{number}") for number in (2, 4, 5)),
        *(("07_lab_install_controller", f"controller-0{number}") for number in (3, 4)),
        ("06_lab_cname", "cname-02"),
        ("08a_lab_ingress", "ingress-02"),
        *(("09_lab_target_group_binding", f"binding-0{number}") for number in (3, 4, 6)),
        ("00_setup", "setup-01"),
        ("99_cleanup", "cleanup-01"),
    ],
)
def test_run_all_gives_no_answer_away(name, checkpoint):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    asks = f'eksnet.checkpoint("{checkpoint}").check(prediction'
    (cell,) = [cell for cell in notebook.cells if asks in cell.source]
    said = "".join(output.data["text/plain"] for output in cell.outputs if "data" in output)
    assert said.startswith(f"{checkpoint} ")
    assert "FAIL, 0 of" in said


@pytest.mark.parametrize("name", NAMES)
def test_an_account_is_used_through_the_cluster_alone(name):
    cells = [cell.source for cell in catalogue.read(catalogue.find(name)) if cell.kind == "code"]
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for source in cells
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {one.partition(".")[0] for one in imported} & {"boto3", "botocore", "os"}


def test_each_notebook_leads_to_the_next_one_and_back():
    files = [path.name for path in catalogue.course()]
    for before, name, after in zip(["", *files], files, [*files[1:], ""], strict=False):
        title = nbformat.read(catalogue.find(name), as_version=4).cells[0].source
        links = re.findall(r"(Previous|Next): \[[^\]]+\]\(([^)]+)\)\.", title)
        assert dict(links) == {
            word: to for word, to in (("Previous", before), ("Next", after)) if to
        }, name


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_notebook(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert not [cell_id for cell_id in ids if not cell_id.replace("-", "").isalpha()]
    for cell in notebook.cells:
        assert cell.metadata == runner.kept(cell.metadata)
        assert ("jupyter" in cell.metadata) == cell.id.endswith("-fix")
        if cell.id.endswith("-fix"):
            # JupyterLab shows the first line of a folded cell, and that may not be the solution.
            assert cell.source.startswith("# One way to ")
        if cell.cell_type == "code":
            assert cell.execution_count, f"{cell.id} was not run"
            assert not cell.source.startswith(("!", "%")), f"{cell.id} uses shell magic"
            names = [output.get("name") for output in cell.outputs]
            assert "stderr" not in names, f"{cell.id} writes to stderr"


@pytest.mark.parametrize("checkpoint", ["dns-02", "dns-03"])
def test_nothing_computes_a_walk_above_the_prediction_of_it(checkpoint):
    cells = nbformat.read(catalogue.find("01b"), as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    (at,) = [n for n, source in enumerate(code) if f'"{checkpoint}"' in source]
    models = (
        "search_walk(",
        "candidates(",
        "dns.compare(",
        "look_up(",
        "search_order(",
        "remedies(",
    )
    above = [source for source in code[:at] if any(model in source for model in models)]
    assert above == []
    assert any("search_walk(" in source for source in code[at:])


def test_every_prediction_stands_in_a_cell_of_its_own():
    for name in NAMES:
        cells = nbformat.read(catalogue.find(name), as_version=4).cells
        for cell in cells:
            if re.search(r"^prediction = ", cell.source, re.MULTILINE):
                assert cell.metadata.get("tags") == [catalogue.PREDICT], f"{name}: {cell.id}"


@pytest.mark.parametrize("name", NAMES)
def test_an_explanation_can_be_folded_without_the_next_question(name):
    cells = nbformat.read(catalogue.find(name), as_version=4).cells
    for before, cell in itertools.pairwise(cells):
        if cell.id.endswith(catalogue.WHY):
            assert cell.cell_type == "markdown", f"{name}: {cell.id}"
            assert before.cell_type == "code", f"{name}: nothing is run above {cell.id}"
            assert not re.search(r"^#|\*\*Predict", cell.source, re.MULTILINE), f"{name}: {cell.id}"


@pytest.mark.parametrize("name", NAMES)
def test_every_prediction_is_compared_before_the_next_is_made(name):
    cells = nbformat.read(catalogue.find(name), as_version=4).cells
    made = [n for n, cell in enumerate(cells) if catalogue.PREDICT in cell.metadata.get("tags", ())]
    assert made
    for start, end in zip(made, [*made[1:], len(cells)], strict=True):
        after = [cell for cell in cells[start + 1 : end] if cell.cell_type == "code"]
        compared = [cell for cell in after if re.search(r"\(prediction\b", cell.source)]
        assert compared, f"{name}: nothing is compared with {cells[start].id}"


def test_under_nbval_a_command_is_named_as_in_the_kernels_of_the_course(tmp_path, monkeypatch):
    monkeypatch.setenv("EKSNET_COMMAND", "bin/eksnet")
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    said = new_output("stream", name="stdout", text="eksnet up\n")
    source = "from eksnet.commands import runnable\nprint(runnable('eksnet up'))"
    cell = new_code_cell(source, id="cell-1", execution_count=1, outputs=[said])
    path = tmp_path / "07_small.ipynb"
    nbformat.write(new_notebook(cells=[cell]), path)
    done = nbval_runs.run("-q", "-c", "/dev/null", path.name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
