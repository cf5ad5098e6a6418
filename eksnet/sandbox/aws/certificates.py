"""ACM: certificates that an authority of the sandbox's own has signed; heavy, as moto is.

Nobody is asked whether a name is the learner's: a certificate is issued at once. Whoever is to
trust it takes the authority's certificate from the answer of GetCertificate: it is the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from moto.acm.exceptions import AWSValidationException, CertificateNotFound
from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.core.exceptions import AWSError
from moto.elbv2.models import elbv2_backends

from eksnet.sandbox.aws import repeatable
from eksnet.sandbox.pki import PUBLIC_AUTHORITY

# Documented: 13 months.
_LIFETIME = timedelta(days=395)
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Authority:
    """What signs certificates.

    Attributes:
        certificate: Its own certificate.
        key: Its private key: RSA, because its signatures can be repeated.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def authority(pki: Path) -> Authority:
    """Return what signs certificates.

    Args:
        pki: The directory of the cluster's certificates.
    """
    certificate = (pki / f"{PUBLIC_AUTHORITY}.crt").read_bytes()
    key = (pki / f"{PUBLIC_AUTHORITY}.key").read_bytes()
    loaded = serialization.load_pem_private_key(key, password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return Authority(x509.load_pem_x509_certificate(certificate), loaded)


class Certificate(CertBundle):
    """A certificate; who uses it follows from the load balancers' listeners."""

    account = region = ""

    def __init__(
        self, account_id: str, certificate: bytes, private_key: bytes, **more: Any
    ) -> None:
        """Check it as moto does, and that the key is the certificate's; keep the chain as sent."""
        self.account = account_id
        super().__init__(account_id, certificate, private_key, **more)
        self.region = self.arn.split(":")[3]
        self.chain = more.get("chain") or b""
        if self._key.public_key() != self._cert.public_key():
            raise AWSValidationException("The private key does not match the certificate.")

    @property
    def in_use_by(self) -> list[str]:
        """The ARNs of the load balancers that use it."""
        balancers = elbv2_backends[self.account][self.region].load_balancers.values()
        return [one.arn for one in balancers if any(self.arn in names for names in _used(one))]

    @in_use_by.setter
    def in_use_by(self, _: list[str]) -> None:
        """Ignore moto's notes: they outlive what they are of."""


class Certificates(AWSCertificateManagerBackend):
    """The account's certificates.

    Attributes:
        authority: What signs them.
    """

    authority: Authority

    def request_certificate(
        self,
        domain_name: str,
        idempotency_token: str,
        subject_alt_names: list[str],
        tags: list[dict[str, str]],
        cert_authority_arn: str | None = None,
        cert_options: dict[str, Any] | None = None,
    ) -> str:
        """Issue a certificate; asked again with the same token, return the same one."""
        token = idempotency_token and self._get_arn_from_idempotency_token(idempotency_token)
        if token in self._certificates:
            return str(token)
        names = tuple(dict.fromkeys((domain_name, *(subject_alt_names or ()))))
        certificate, key = _issued(self.authority, names)
        made = Certificate(
            self.account_id,
            certificate,
            key,
            chain=self.authority.certificate.public_bytes(_PEM),
            region=self.region_name,
            cert_type="PRIVATE" if cert_authority_arn else "AMAZON_ISSUED",
            cert_authority_arn=cert_authority_arn,
        )
        made.cert_options.update(cert_options or {})
        made.tags.add(tags or [])
        self._certificates[made.arn] = made
        if idempotency_token:
            self._set_idempotency_token_arn(idempotency_token, made.arn)
        return str(made.arn)

    def delete_certificate(self, arn: str) -> None:
        """Delete a certificate.

        Raises:
            AWSError: It is not there, or a listener has it.
        """
        if arn not in self._certificates:
            raise CertificateNotFound(arn=arn, account_id=self.account_id)
        if self._certificates[arn].in_use_by:
            raise AWSError(
                f"Certificate {arn} in account {self.account_id} is in use.",
                "ResourceInUseException",
            )
        super().delete_certificate(arn)


def _used(balancer: Any) -> Iterable[Sequence[str]]:
    return ([*one.certificates, *one.extra] for one in balancer.listeners.values())


def _issued(authority: Authority, names: Sequence[str]) -> tuple[bytes, bytes]:
    """Return a certificate for names, and its private key, as PEM."""
    # Looked up there: `repeatable` hands out the key that was made before.
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = repeatable.now().replace(microsecond=0)
    public, own = key.public_key(), authority.key.public_key()
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(authority.certificate.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # An hour of grace for a clock that was set back.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*map(_name, names)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    written = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(_PEM), written


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(IPv4Address(name))
    except AddressValueError:
        return x509.DNSName(name)
