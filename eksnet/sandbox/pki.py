"""The cluster's certificates: one authority, one short-named key pair per identity.

They are the cluster's identity: made once, kept over `reset`, never copied anywhere else.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eksnet.sandbox.paths import write_private
from eksnet.sandbox.vpc import Vpc

# The files of the authority for certificates of load balancers.
PUBLIC_AUTHORITY = "certificates-ca"
_LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Subject:
    """The subject of a certificate: Kubernetes reads the user and group from it.

    Attributes:
        file: The name of its `.crt` and `.key` files.
        user: The common name: Kubernetes' user name.
        groups: The organisations: Kubernetes' groups.
        names: DNS names that it serves.
        addresses: Addresses that it serves.
    """

    file: str
    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()


def subjects(vpc: Vpc) -> tuple[Subject, ...]:
    """Return every identity of a cluster, each with the rights that upstream expects of it."""
    local = IPv4Address("127.0.0.1")
    api_names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    return (
        Subject(
            "apiserver",
            "kube-apiserver",
            names=(*api_names, "kubernetes.default.svc.cluster.local"),
            addresses=(local, vpc.api_server, vpc.kubernetes_service),
        ),
        Subject("apiserver-kubelet", "kube-apiserver-kubelet-client", ("system:masters",)),
        Subject("controller-manager", "system:kube-controller-manager", ("system:masters",)),
        Subject("scheduler", "system:kube-scheduler"),
        Subject("supervisor", "eksnet:supervisor", ("system:masters",)),
        # What EKS's add-ons are applied as; on EKS its rights are narrower.
        Subject("eks", "eks:addon-manager", ("system:masters",)),
        # What answers the API server who signed a token: it listens on the loopback alone.
        Subject("authenticator", "eksnet:authenticator", addresses=(local,)),
        *(
            Subject(
                node.short,
                f"system:node:{node.name}",
                ("system:nodes",),
                names=(node.name,),
                addresses=(node.address.ip,),
            )
            for node in vpc.nodes
        ),
    )


def ensure(directory: Path, vpc: Vpc) -> None:
    """Make whatever is missing of a cluster's key pairs; what is there stays as it is."""
    authority = _authority(directory, "ca", "kubernetes")
    front_proxy = _authority(directory, "front-proxy-ca", "front-proxy-ca")
    for subject in subjects(vpc):
        _issue(directory, authority, subject)
    _issue(directory, front_proxy, Subject("front-proxy", "front-proxy-client"))
    ensure_public_authority(directory)
    _service_account_keys(directory)


def kubeconfig(directory: Path, user: str, server: str) -> str:
    """Return a kubeconfig text for one identity, with its credentials in it.

    Args:
        directory: Where the key pairs are.
        user: The file name of the identity, such as `admin`.
        server: The API server's URL.
    """

    def data(file: str) -> str:
        return base64.b64encode((directory / file).read_bytes()).decode()

    return f"""apiVersion: v1
kind: Config
clusters:
- name: sandbox
  cluster:
    server: {server}
    certificate-authority-data: {data("ca.crt")}
users:
- name: {user}
  user:
    client-certificate-data: {data(f"{user}.crt")}
    client-key-data: {data(f"{user}.key")}
contexts:
- name: sandbox
  context:
    cluster: sandbox
    user: {user}
current-context: sandbox
"""


def serving_certificate(address: str) -> tuple[str, str]:
    """Return a certificate for an address, which is its own authority, and its key, as PEM.

    Args:
        address: The IPv4 address that it serves.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(address, ())
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))])
    certificate = (
        _builder(name, name, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key).decode()


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def ensure_public_authority(directory: Path) -> None:
    """Make what signs the certificates of load balancers, where on AWS Amazon does, if missing.

    Its key is RSA: signed again with it, a certificate has the same signature, so that the account
    has the same certificates after a restart.
    """
    if not (directory / f"{PUBLIC_AUTHORITY}.crt").exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _write_authority(directory, PUBLIC_AUTHORITY, "Amazon (sandbox)", key)


def _authority(directory: Path, file: str, name: str) -> Authority:
    if not (directory / f"{file}.crt").exists():
        _write_authority(directory, file, name, ec.generate_private_key(ec.SECP256R1()))
    certificate = x509.load_pem_x509_certificate((directory / f"{file}.crt").read_bytes())
    key_bytes = (directory / f"{file}.key").read_bytes()
    loaded = serialization.load_pem_private_key(key_bytes, password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return certificate, loaded


def _write_authority(directory: Path, file: str, name: str, key: Key) -> None:
    subject = _name(name, ())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(subject, subject, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(directory, file, key, certificate)


def _issue(directory: Path, authority: Authority, subject: Subject) -> None:
    if (directory / f"{subject.file}.crt").exists():
        return
    ca_certificate, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _builder(
        _name(subject.user, subject.groups), ca_certificate.subject, key, ca_key
    ).add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if alternatives := _alternatives(subject):
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    _write(directory, subject.file, key, builder.sign(ca_key, hashes.SHA256()))


def _alternatives(subject: Subject) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in subject.names),
        *(x509.IPAddress(address) for address in subject.addresses),
    ]


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    issuer_key: Key,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    # Python 3.13 believes no certificate without these two identifiers.
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour of grace for a clock that was set back.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
    )


def _service_account_keys(directory: Path) -> None:
    """Make the keys that sign the tokens of service accounts: RSA, as on EKS.

    An earlier version of the course made another kind. Its tokens end with their pods' processes,
    before these keys are used.
    """
    public = directory / "service-account.pub"
    if public.exists():
        loaded = serialization.load_pem_public_key(public.read_bytes())
        if isinstance(loaded, rsa.RSAPublicKey):
            return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private(directory / "service-account.key", _pem(key))
    written = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(public, written)


def _write(directory: Path, file: str, key: Key, certificate: x509.Certificate) -> None:
    # The certificate last: its presence says that the pair is whole.
    write_private(directory / f"{file}.key", _pem(key))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    write_private(directory / f"{file}.crt", pem)


def _pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
