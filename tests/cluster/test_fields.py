"""Who owns which field of an object."""

import pytest

from eksnet.cluster.fields import owners

THING = {
    "metadata": {
        "managedFields": [
            {
                "manager": "eks",
                "operation": "Apply",
                "fieldsV1": {
                    "f:data": {"f:Corefile": {}},
                    "f:spec": {
                        "f:replicas": {},
                        "f:template": {
                            "f:containers": {
                                'k:{"name":"coredns"}': {".": {}, "f:image": {}},
                                'k:{"containerPort":53,"protocol":"UDP"}': {".": {}},
                            },
                            "f:finalizers": {'v:"a/b"': {}},
                        },
                    },
                },
            },
            {
                "manager": "kubectl-edit",
                "operation": "Update",
                "fieldsV1": {"f:data": {".": {}, "f:Corefile": {}}},
            },
            {
                "manager": "kube-controller-manager",
                "operation": "Update",
                "subresource": "status",
                "fieldsV1": {"f:status": {"f:replicas": {}}},
            },
        ]
    }
}


def test_every_field_with_its_owners():
    assert owners(THING).rows == (
        (".data.Corefile", "eks", "Apply"),
        (".data.Corefile", "kubectl-edit", "Update"),
        (".spec.replicas", "eks", "Apply"),
        ('.spec.template.containers[containerPort=53,protocol="UDP"]', "eks", "Apply"),
        ('.spec.template.containers[name="coredns"].image', "eks", "Apply"),
        ('.spec.template.finalizers[="a/b"]', "eks", "Apply"),
    )


@pytest.mark.parametrize(
    ("below", "count"),
    [(".data", 2), (".data.Corefile", 2), (".spec.replicas", 1), (".spec.repl", 0), (".dat", 0)],
)
def test_fields_below_one(below, count):
    assert len(owners(THING, below)) == count


def test_an_object_without_a_record():
    assert len(owners({"metadata": {}})) == 0
    assert len(owners({"metadata": {"managedFields": None}})) == 0
