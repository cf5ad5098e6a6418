"""Faults in the middle of a notebook over `eks:`: it goes on, or stops and can be run again."""

import threading

import between
import nbformat
import over_eks
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

from eksnet.course import catalogue, runner
from eksnet.sandbox import lifecycle
from eksnet.sandbox.aws.access import access

# What an error of the course is called, and all that may stop a cell here.
OURS = {"EksnetError", "ApiError", "ApiUnreachableError", "RefusedError", "UnreachableError"}
# Every this many cells something goes wrong.
EVERY = 4
CUT = 10
TRIES = 4


@pytest.fixture
def admin(fresh_sandbox):
    return over_eks.administrator(fresh_sandbox.name)


@pytest.fixture
def way(admin, tmp_path, monkeypatch):
    """A learner with a file of credentials, and what is between them and the cluster."""
    lifecycle.up()
    found = access()
    api = between.Wire(int(found.api_server.rpartition(":")[2]))
    aws = between.Aws(found.endpoint, found.api_server, api)
    gate = between.Wire(aws.server_port)
    named = over_eks.variables(tmp_path / "bin")
    credentials = tmp_path / "credentials"
    write_keys(credentials, named.pop("AWS_ACCESS_KEY_ID"), named.pop("AWS_SECRET_ACCESS_KEY"))
    named |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.port}",
        # Tokens are signed for the address that the cluster knows.
        "AWS_ENDPOINT_URL_STS": found.endpoint,
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    gone = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    over_eks.set_variables(monkeypatch, {**named, **gone})
    yield api, gate, aws, credentials
    for one in (api, gate, aws):
        one.close()


def write_keys(file, key, secret):
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")


def run(name, sockets, go_wrong, wait=lambda: None):
    """Run a notebook in which something goes wrong; return what stopped its cells, and it.

    Args:
        name: The notebook.
        sockets: A directory for the kernel's sockets.
        go_wrong: Is called every few cells.
        wait: What the learner waits for before a cell is run again.
    """
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    client = NotebookClient(
        notebook,
        timeout=runner.CELL_DEADLINE,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(sockets),
    )
    stopped = []
    code = [at for at, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    with client.setup_kernel():
        for number, at in enumerate(code):
            if number % EVERY == 1:
                go_wrong()
            execute(client, notebook.cells[at], at, stopped, wait)
    return stopped, notebook


def execute(client, cell, at, stopped, wait):
    """Run a cell, again where it was stopped by an error of the course; connect before that."""
    for _ in range(TRIES):
        why = why_stopped(client, cell, at)
        if not why:
            return
        assert "next:" in why
        stopped.append(why)
        wait()
        add(client, new_code_cell("cluster = eksnet.connect()"), execute=True)
        cell, at = add(client, new_code_cell(cell.source, id=cell.id))
    raise AssertionError(stopped[-1])


def why_stopped(client, cell, at):
    """Run a cell, and return why it did not come to its end; empty when it did."""
    try:
        client.execute_cell(cell, at)
    except CellExecutionError as error:
        assert error.ename in OURS, error.evalue
        return error.evalue
    said = "\n".join(shown(cell))
    return said if "CANNOT_CHECK" in said else ""


def add(client, cell, *, execute=False):
    """Put a cell at the notebook's end, as a learner who runs one again sees it; return its place.

    What a cell shows is kept by its place, so each has one of its own.
    """
    client.nb.cells.append(cell)
    at = len(client.nb.cells) - 1
    if execute:
        client.execute_cell(cell, at)
    return cell, at


def printed(notebook, cell_id):
    # The last of those that were run again.
    return shown([cell for cell in notebook.cells if cell.id == cell_id][-1])


def shown(cell):
    texts = [one.get("data", {}).get("text/plain") or one.get("text") for one in cell.outputs]
    # An ended countdown shows nothing.
    return [text for text in texts if text]


def as_committed(name, ids, notebook):
    committed = nbformat.read(catalogue.find(name), as_version=4)
    for one in ids:
        assert printed(notebook, one) == printed(committed, one)


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
def test_a_notebook_comes_through_cuts_of_ten_seconds(way, admin, tmp_path):
    api, gate, _, _ = way
    before = over_eks.those_there(admin)

    def cut():
        # Somewhere in the cell that begins now.
        threading.Timer(0.2, lambda: (api.cut(CUT), gate.cut(CUT))).start()

    def wait():
        api.wait()
        gate.wait()

    _, notebook = run("01a", tmp_path, cut, wait)
    as_committed("01a", ["count-check", "policies-compare", "quick-check"], notebook)
    assert api.cuts > 3
    assert over_eks.those_there(admin) == before


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
def test_a_notebook_waits_where_aws_is_busy(way, admin, tmp_path):
    _, _, aws, _ = way
    refused = []

    def busy():
        number = iter(range(3))

        def refuse(path):
            if path != "/" and next(number, None) is not None:
                refused.append(path)
                return 429, "TooManyRequestsException", "Too many requests"
            return None

        aws.refuse = refuse

    stopped, notebook = run("02a", tmp_path, busy)
    assert stopped == []
    assert refused
    as_committed("02a", ["apply-none", "observed", "checkpoint-modes"], notebook)


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
def test_keys_that_end_stop_a_cell_that_runs_again_with_new_ones(way, admin, tmp_path):
    _, _, _, credentials = way
    iam = admin.aws("iam")
    known = []

    def renew():
        # A user has two keys at most, and the sandbox's own is one of them.
        if known:
            iam.delete_access_key(UserName="learner", AccessKeyId=known.pop())
        made = iam.create_access_key(UserName="learner")["AccessKey"]
        write_keys(credentials, made["AccessKeyId"], made["SecretAccessKey"])
        known.append(made["AccessKeyId"])

    renew()
    stopped, notebook = run("02a", tmp_path, renew)
    assert stopped
    words = ("does not know your credentials", "Unauthorized")
    assert all(any(word in one for word in words) for one in stopped)
    as_committed("02a", ["apply-none", "observed", "checkpoint-modes"], notebook)
