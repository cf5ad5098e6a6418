"""The front of the AWS side as a process of its own, without a cluster: `awsside.py SETTINGS`."""

import sys
from pathlib import Path

from werkzeug.serving import make_server

from eksnet.sandbox.aws.server import Side, _Quiet
from eksnet.sandbox.aws.settings import Settings

PROGRAM = Path(__file__)


def main():
    settings = Settings.from_json(Path(sys.argv[1]).read_text())
    make_server(
        settings.address, settings.port, Side(settings).front, threaded=True,
        request_handler=_Quiet,
    ).serve_forever()  # fmt: skip


if __name__ == "__main__":
    main()
