"""None for what is not there, and for nothing else."""

import pytest
from fake_api import FakeApi

from eksnet.cluster import Cluster
from eksnet.cluster.kinds import UnknownKindError
from eksnet.errors import EksnetError, NotFoundError, RefusedError, UnreachableError

WEB = "/api/v1/namespaces/default/configmaps/web"


def test_what_is_there_is_found(fake: Cluster, api: FakeApi) -> None:
    api.put(WEB, {"data": {"x": "y"}})
    for found in (fake.find("configmap/web"), fake.find("cm", "web", "default")):
        assert found is not None
        assert (found.name, found["data"]) == ("web", {"x": "y"})


def test_what_is_not_there_is_none(fake: Cluster) -> None:
    assert fake.find("configmap/web") is None
    assert fake.find("configmap", "web", "elsewhere") is None
    with pytest.raises(NotFoundError, match="web"):
        fake.get("configmap/web")


@pytest.mark.parametrize(
    ("status", "kind"), [(403, RefusedError), (500, EksnetError), (400, EksnetError)]
)
def test_another_refusal_is_no_answer(
    status: int, kind: type[EksnetError], fake: Cluster, api: FakeApi
) -> None:
    fake.find("configmap/web")
    api.refuse = lambda one: (status, {"message": "no"}) if one.path == WEB else None
    with pytest.raises(kind, match="says: no") as refused:
        fake.find("configmap/web")
    assert not isinstance(refused.value, NotFoundError)


def test_a_kind_that_is_misspelt_is_told(fake: Cluster) -> None:
    with pytest.raises(UnknownKindError, match="has no kind configmpa"):
        fake.find("configmpa/web")


def test_a_server_that_is_gone_is_told(fake: Cluster) -> None:
    fake.find("configmap/web")
    fake._client._configuration.host = "http://127.0.0.1:1"
    with pytest.raises(UnreachableError, match="did not answer"):
        fake.find("configmap/web")
