"""Certificates: issued at once by an authority of the sandbox, kept while a listener has them."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from eksnet.sandbox import pki
from tests.sandbox.aws.test_addons import refused
from tests.sandbox.aws.test_elb_desired import balancer, elb, forward, group, written

__all__ = ["balancer", "elb", "group"]

NAMES = ["shop.example.com", "*.shop.example.com"]


@pytest.fixture
def acm(side):
    return side.client("acm")


@pytest.fixture
def certificate(acm):
    return acm.request_certificate(
        DomainName=NAMES[0], SubjectAlternativeNames=NAMES[1:], ValidationMethod="DNS"
    )["CertificateArn"]


def https(elb, balancer, group, arn):
    return elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=443,
        Certificates=[{"CertificateArn": arn}], DefaultActions=forward(group),
    )["Listeners"][0]["ListenerArn"]  # fmt: skip


def test_a_requested_certificate_is_issued_at_once(acm, certificate):
    told = acm.describe_certificate(CertificateArn=certificate)["Certificate"]
    assert (told["Status"], told["Type"], told["InUseBy"]) == ("ISSUED", "AMAZON_ISSUED", [])
    assert (told["DomainName"], told["SubjectAlternativeNames"]) == (NAMES[0], NAMES)
    (listed,) = acm.list_certificates(CertificateStatuses=["ISSUED"])["CertificateSummaryList"]
    assert (listed["CertificateArn"], listed["InUse"]) == (certificate, False)


@pytest.mark.parametrize(
    ("name", "trusted"),
    [("shop.example.com", True), ("a.shop.example.com", True), ("other.example.com", False)],
)
def test_who_trusts_the_authority_trusts_its_names(acm, certificate, name, trusted):
    told = acm.get_certificate(CertificateArn=certificate)
    leaf = x509.load_pem_x509_certificate(told["Certificate"].encode())
    (root,) = x509.load_pem_x509_certificates(told["CertificateChain"].encode())
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(name))
    if trusted:
        assert verifier.verify(leaf, [])[-1] == root
    else:
        with pytest.raises(VerificationError):
            verifier.verify(leaf, [])


def test_the_data_plane_gets_names_chain_and_key(side, acm, elb, balancer, group, certificate):
    https(elb, balancer, group, certificate)
    (told,) = written(side)["load_balancers"][0]["listeners"][0]["certificates"]
    assert (told["arn"], told["default"], told["names"]) == (certificate, True, NAMES)
    leaf, root = x509.load_pem_x509_certificates(told["chain"].encode())
    key = serialization.load_pem_private_key(told["key"].encode(), password=None)
    assert key.public_key() == leaf.public_key()
    own = (Path(side.settings.pki) / f"{pki.PUBLIC_AUTHORITY}.crt").read_bytes()
    assert root == x509.load_pem_x509_certificate(own)


def test_what_a_listener_has_stays(acm, elb, balancer, group, certificate):
    listener = https(elb, balancer, group, certificate)
    told = acm.describe_certificate(CertificateArn=certificate)["Certificate"]
    assert told["InUseBy"] == [balancer["LoadBalancerArn"]]
    assert refused(acm.delete_certificate, CertificateArn=certificate) == (
        "ResourceInUseException",
        f"Certificate {certificate} in account 111122223333 is in use.",
    )
    elb.delete_listener(ListenerArn=listener)
    acm.delete_certificate(CertificateArn=certificate)
    assert refused(acm.describe_certificate, CertificateArn=certificate)[0] == (
        "ResourceNotFoundException"
    )


def test_the_same_token_is_the_same_certificate(acm):
    asked = {"DomainName": NAMES[0], "IdempotencyToken": "a"}
    first = acm.request_certificate(**asked)["CertificateArn"]
    assert acm.request_certificate(**asked)["CertificateArn"] == first
    acm.delete_certificate(CertificateArn=first)
    assert acm.request_certificate(**asked)["CertificateArn"] != first


def made(address="10.0.0.1"):
    return [text.encode() for text in pki.serving_certificate(address)]


def test_an_imported_certificate(side, acm, elb, balancer, group):
    own, key = made()
    arn = acm.import_certificate(Certificate=own, PrivateKey=key)["CertificateArn"]
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Type"] == "IMPORTED"
    https(elb, balancer, group, arn)
    (told,) = written(side)["load_balancers"][0]["listeners"][0]["certificates"]
    assert told["names"] == ["10.0.0.1"]
    assert (told["chain"].strip(), told["key"]) == (own.decode().strip(), key.decode())
    # The same ARN, another certificate: the listener has it at once.
    other, its_key = made("10.0.0.2")
    acm.import_certificate(CertificateArn=arn, Certificate=other, PrivateKey=its_key)
    (told,) = written(side)["load_balancers"][0]["listeners"][0]["certificates"]
    assert told["names"] == ["10.0.0.2"]


def test_what_cannot_be_imported(acm):
    own, key = made()
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for certificate, private in ((own, another), (b"x", key), (own, b"x")):
        code, _ = refused(acm.import_certificate, Certificate=certificate, PrivateKey=private)
        assert code == "ValidationException"
    assert acm.list_certificates()["CertificateSummaryList"] == []


def test_everything_is_the_same_after_a_restart(
    side, acm, elb, balancer, group, certificate, capsys
):
    https(elb, balancer, group, certificate)
    own, key = made()
    acm.import_certificate(Certificate=own, PrivateKey=key)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.129.7"}])
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.129.7"}])
    before = Path(side.settings.desired).read_text()
    assert json.loads(before)["target_groups"][0]["targets"][0]["draining_since"]
    side.stop()
    Path(side.settings.desired).unlink()
    side.start()
    side.side.account.load_changes()
    assert Path(side.settings.desired).read_text() == before
    assert "another answer" not in capsys.readouterr().err
