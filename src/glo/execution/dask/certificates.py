"""Certificates for TLS: a scheduler and its workers accept only peers that hold the certificate of the run.

Dask authenticates both ends of a connection before it reads anything from it.
"""

from __future__ import annotations

import datetime
import os
import stat
from pathlib import Path

from glo.errors import ConfigError
from glo.execution.dask.config import MORE_PACKAGES

CERTS = Path("glo-certs")  # the default folder
AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"


def write_certificates(folder: Path, days: int = 30) -> None:
    """Write the certificate of a new authority, and one certificate that it has signed with its key, into a folder.

    Only their owner can read the folder and the key.

    Raises:
        ConfigError: if the folder contains certificates already, or cannot be written.
    """
    try:
        contents = zip((AUTHORITY, CERTIFICATE, KEY), _created(days), strict=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in contents:
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
    except ImportError as error:
        raise ConfigError(MORE_PACKAGES.format(error)) from None
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists already: give another --out, or delete it first") from None
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from None


def _created(days: int) -> tuple[bytes, bytes, bytes]:
    """Authority, certificate and key as PEM.  The authority's own key is not kept, so that nothing else can be signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)  # the clocks of machines differ
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("glo authority", "glo"))

    def signed(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> bytes:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=key is root, path_length=None), critical=True)
        return builder.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    secret = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed(issuer, root), signed(subject, own), secret


def security_options(folder: Path) -> dict[str, str | bool]:
    """Options of `dask.distributed.Security` for the certificates in a folder.

    Raises:
        ConfigError: if a file is missing, or other users can read the key.
    """
    authority, certificate, key = (str((folder / name).absolute()) for name in (AUTHORITY, CERTIFICATE, KEY))
    for file in (authority, certificate, key):
        if not Path(file).is_file():
            raise ConfigError(f"there is no {file}: create it with glo cluster certs --out {folder}")
    if stat.S_IMODE(Path(key).stat().st_mode) & 0o077:
        raise ConfigError(f"other users can read {key}: chmod 600 it, or create new certificates with glo cluster certs")
    own = {"cert": certificate, "key": key}
    roles = {f"tls_{role}_{part}": file for role in ("client", "scheduler", "worker") for part, file in own.items()}
    return {"require_encryption": True, "tls_ca_file": authority, **roles}
