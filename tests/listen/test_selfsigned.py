"""The certificate to develop with: made once, kept, renewed, and what its authority may speak for."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wsd.config import ConfigError
from wsd.listen.selfsigned import SelfSigned, ensureSelfSigned

DAY = 86400.0
NOW = datetime.now(UTC).timestamp()


class State:
    """A state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tls"
        self.environ = {"STATE_DIRECTORY": str(folder)}

    def ensure(self, after: float = 0) -> SelfSigned:
        return ensureSelfSigned(self.environ, lambda: NOW + after)

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.crt").read_bytes())

    @property
    def contents(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.folder.iterdir()}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


class TestKeeping:
    def test_it_is_made_once(self, state: State) -> None:
        made = state.ensure()
        before = state.contents
        assert state.ensure(300 * DAY) == made
        assert state.contents == before

    def test_it_lies_in_the_state_folder(self, state: State) -> None:
        made = state.ensure()
        assert [made.pair.cert, made.pair.key, made.authority] == [
            str(state.folder / name) for name in ("localhost.crt", "localhost.key", "authority.crt")
        ]

    def test_only_its_owner_may_read_it(self, state: State) -> None:
        state.ensure()
        assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
        for file in ("localhost.key", "authority.key"):
            assert stat.S_IMODE((state.folder / file).stat().st_mode) == 0o600

    def test_it_is_renewed_before_it_ends_by_the_same_authority(self, state: State) -> None:
        state.ensure()
        first, authority = state.certificate("localhost"), state.certificate("authority")
        state.ensure(397 * DAY - 29 * DAY)
        renewed = state.certificate("localhost")
        assert renewed != first
        assert renewed.public_key() != first.public_key()
        assert state.certificate("authority") == authority
        renewed.verify_directly_issued_by(authority)

    def test_the_authority_is_renewed_before_it_would_end_within_a_certificate(self, state: State) -> None:
        state.ensure()
        authority = state.certificate("authority")
        state.ensure((3650 - 390) * DAY)
        assert state.certificate("authority") != authority
        state.certificate("localhost").verify_directly_issued_by(state.certificate("authority"))

    @pytest.mark.parametrize("name", ["localhost.crt", "localhost.key", "authority.crt", "authority.key"])
    @pytest.mark.parametrize(
        "spoil",
        [
            Path.unlink,
            lambda file: file.write_text("nonsense"),
            lambda file: file.write_bytes(file.read_bytes()[:100]),
            lambda file: file.write_bytes(
                ec.generate_private_key(ec.SECP256R1()).private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            ),
        ],
        ids=["removed", "overwritten", "cut", "of another key"],
    )
    def test_what_is_damaged_is_made_again(self, state: State, name: str, spoil: Callable[[Path], object]) -> None:
        state.ensure()
        spoil(state.folder / name)
        made = state.ensure()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.pair.cert, made.pair.key)
        state.certificate("localhost").verify_directly_issued_by(state.certificate("authority"))

    def test_daemons_that_start_together_make_one(self, state: State) -> None:
        together = threading.Barrier(6)

        def start() -> None:
            together.wait()
            state.ensure()

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made = state.ensure()
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.pair.cert, made.pair.key)
        state.certificate("localhost").verify_directly_issued_by(state.certificate("authority"))

    def test_a_good_one_needs_no_folder_that_can_be_written(self, state: State) -> None:
        made = state.ensure()
        (state.folder / "lock").unlink()
        (state.folder / "lock").mkdir()
        assert state.ensure() == made

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(ConfigError) as refused:
            State(tmp_path / "file").ensure()
        assert str(refused.value) == (
            f"tls.self_signed: {tmp_path / 'file' / 'tls'} cannot be written: Not a directory; "
            "set STATE_DIRECTORY to a writable folder"
        )


class TestWhatItSays:
    def test_it_is_for_this_machine_by_its_three_names(self, state: State) -> None:
        state.ensure()
        names = state.certificate("localhost").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]

    def test_it_lives_no_longer_than_browsers_allow(self, state: State) -> None:
        state.ensure()
        leaf = state.certificate("localhost")
        assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=398)

    def test_openssl_verifies_it_strictly(self, state: State) -> None:
        made = state.ensure()
        for name in ("-verify_hostname=localhost", "-verify_ip=127.0.0.1", "-verify_ip=::1"):
            assert verify(made.authority, made.pair.cert, *name.split("=")) == f"{made.pair.cert}: OK\n"


def verify(authority: str, certificate: str, *arguments: str) -> str:
    """What `openssl verify` says, with the checks that Python 3.13 makes."""
    strict = ("-x509_strict", "-purpose", "sslserver", "-CAfile", authority)
    done = subprocess.run(
        ["openssl", "verify", *strict, *arguments, certificate], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


class TestItsAuthority:
    """Whoever trusts it trusts nobody else on the way."""

    def sign(self, state: State, *names: x509.GeneralName, authority: bool = False) -> str:
        """A certificate that somebody has made who stole the authority's key: its path."""
        key = serialization.load_pem_private_key((state.folder / "authority.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        issuer = state.certificate("authority")
        usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stolen")]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # time(2), by which openssl judges, lags behind the clock of now: by a tick, or more on a busy machine.
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = state.folder / "stolen.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def test_it_can_speak_for_this_machine(self, state: State) -> None:
        made = state.ensure()
        path = self.sign(state, x509.DNSName("localhost"))
        assert verify(made.authority, path) == f"{path}: OK\n"

    @pytest.mark.parametrize(
        "name",
        [
            x509.DNSName("example.com"),
            x509.DNSName("localhost.example.com"),
            x509.IPAddress(ip_address("127.0.0.2")),
            x509.IPAddress(ip_address("192.0.2.1")),
            x509.IPAddress(ip_address("2001:db8::1")),
        ],
        ids=lambda name: str(name.value),
    )
    def test_and_for_no_other(self, state: State, name: x509.GeneralName) -> None:
        made = state.ensure()
        assert "permitted subtree violation" in verify(made.authority, self.sign(state, name))

    def test_it_makes_no_other_authorities(self, state: State) -> None:
        state.ensure()
        authority = state.certificate("authority")
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)

    def test_each_one_has_a_name_of_its_own(self, tmp_path: Path) -> None:
        states = [State(tmp_path / name) for name in ("one", "two")]
        for each in states:
            each.ensure()
        assert states[0].certificate("authority").subject != states[1].certificate("authority").subject

    def test_nobody_else_on_this_machine_may_use_it(self, state: State) -> None:
        before = os.umask(0)
        try:
            state.ensure()
        finally:
            os.umask(before)
        assert stat.S_IMODE((state.folder / "authority.key").stat().st_mode) == 0o600
