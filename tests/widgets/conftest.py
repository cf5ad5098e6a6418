"""A real JupyterLab and a real Chromium, one of each for all tests."""

import http.client
import json
import secrets
import subprocess
import time
from pathlib import Path

import pytest
from lab import Lab, find_chromium
from playwright.sync_api import sync_playwright

from eksnet.course.lab import lab_command

TOKEN = secrets.token_hex(16)
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
# What nbgrader, a package of the tests alone, would add to a learner's JupyterLab.
NOT_THE_LEARNERS = {
    **{f"nbgrader.server_extensions.{name}": False
       for name in ("formgrader", "validate_assignment", "assignment_list", "course_list")},
    "notebook": False,
}  # fmt: skip
DIRECTORIES = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
    "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
)  # fmt: skip


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The port and the directory of a JupyterLab that starts as the learner's does."""
    home, course = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("course")
    command = lab_command(
        course, "--no-browser", "--expose-app-in-browser", f"--IdentityProvider.token={TOKEN}",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0",
        f"--ServerApp.jpserver_extensions={NOT_THE_LEARNERS}",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, (home / "log").open("w") as log:
        for name in DIRECTORIES:
            patch.setenv(name, str(home / name.lower()))
        # The kernels find the tests' own models.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield wait_for_server(process, home), course
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for_server(process, home):
    """Return the port, once JupyterLab has chosen one and answers there."""
    log = home / "log"
    deadline = time.monotonic() + 90
    while not answers(port := chosen_port(process, home)):
        assert process.poll() is None, f"JupyterLab ended at once:\n{log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"no JupyterLab in time:\n{log.read_text()[-3000:]}"
        time.sleep(0.1)
    return port


def chosen_port(process, home):
    record = home / "jupyter_runtime_dir" / f"jpserver-{process.pid}.json"
    try:
        return json.loads(record.read_text())["port"]
    except (OSError, ValueError):
        return None  # not written yet, or not to its end


def answers(port):
    if port is None:
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/status", headers={"Authorization": f"token {TOKEN}"})
        return "started" in json.load(connection.getresponse())
    except (OSError, ValueError):
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module")
def browser():
    """Chromium; for a module alone, because its event loop would be in other tests' way."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def lab(browser, server, request):
    """JupyterLab in a window of its own, without what another module left open."""
    port, course = server
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(30_000)
    workspace = request.module.__name__
    page.goto(f"http://127.0.0.1:{port}/lab/workspaces/{workspace}?token={TOKEN}")
    page.locator("#jp-main-dock-panel").wait_for(timeout=90_000)
    lab = Lab(page, course)
    # The list of files would take half of a narrow window.
    lab.command("application:toggle-left-area")
    yield lab
    page.close()
