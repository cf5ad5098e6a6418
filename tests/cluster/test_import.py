import subprocess
import sys

HEAVY = ("kubernetes", "boto3", "botocore", "pandas", "numpy", "ipywidgets", "IPython")


def test_importing_eksnet_loads_no_heavy_client() -> None:
    code = f"""
import sys
import eksnet, eksnet.cluster
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
