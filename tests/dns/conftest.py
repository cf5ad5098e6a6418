"""Networks in which real resolvers look up."""

import pytest
from real_resolvers import Networks, build


@pytest.fixture(scope="module")
def networks(request, tmp_path_factory):
    """As many networks side by side as the module wants, each with a scripted server."""
    where = tmp_path_factory.mktemp("resolvers")
    networks = Networks(build(where), where, getattr(request.module, "NETWORKS", 8))
    yield networks
    networks.end()
