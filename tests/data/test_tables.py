import csv
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import plugin_order
import pytest

from eksnet import data, dns
from eksnet.data import load_table
from eksnet.errors import EksnetError

ROOT = Path(data.__file__).parent.parent
TABLES = sorted(path.stem for path in data.directory().glob("*.csv"))
LOAD_ALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
import eksnet.data
sizes = {name: len(eksnet.data.load_table(name)) for name in sys.argv[2:]}
print(json.dumps([eksnet.__file__, str(eksnet.data.directory()), sizes]))
"""


def rows(name):
    with (data.directory() / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_loads_whole_and_its_source_is_named(name):
    table = load_table(name)
    assert len(table) == len(rows(name)) > 0
    assert f"| `{name}.csv` |" in (data.directory() / "README.md").read_text()


def test_an_unknown_table_names_the_known_ones():
    with pytest.raises(EksnetError) as raised:
        load_table("no_such_table")
    assert all(name in raised.value.expected for name in TABLES)


@pytest.mark.parametrize(
    ("column", "region"), [("general Kubernetes", None), ("Amazon EKS", "ap-northeast-2")]
)
def test_the_search_order_is_the_models(column, region):
    conf = dns.pod_resolv_conf("ops-ns", region=region)
    told = [row[column] for row in rows("search_order") if row[column]]
    places = {"<namespace>": "ops-ns", "<region>": "ap-northeast-2"}
    for place, value in places.items():
        told = [domain.replace(place, value) for domain in told]
    assert told == [*conf.search, "the original name"]


def test_the_plugin_order_is_that_of_the_coredns_we_build():
    assert [row["plugin"] for row in rows("coredns_plugin_order")] == plugin_order.compiled()


def test_an_installed_wheel_brings_the_tables(tmp_path):
    uv = shutil.which("uv")
    assert uv is not None, "no uv: `make test` installs one"
    subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT],
        stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    # -I: neither this directory nor the environment's variables lead back to the clone.
    said = subprocess.run(
        [sys.executable, "-I", "-c", LOAD_ALL, installed, *TABLES],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    package, directory, sizes = json.loads(said.stdout)
    assert Path(package).is_relative_to(installed)
    assert Path(directory) == installed / "eksnet" / "_data"
    assert sizes == {name: len(rows(name)) for name in TABLES}
