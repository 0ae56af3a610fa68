"""The authorities that are trusted: the system's and the public ones, or those of one file."""

import ssl
import sys

import certifi
import pytest

from servermonitoring.tls import trusted_context
from tests.servers import certificates


@pytest.fixture
def authority(tmp_path):
    return certificates.make(tmp_path).authority


@pytest.fixture
def system(authority, monkeypatch, tmp_path):
    """A system on which this one authority is installed, and no other."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return authority


def authorities(context):
    return set(context.get_ca_certs(binary_form=True))


def of_file(path):
    return authorities(ssl.create_default_context(cafile=path))


def test_the_systems_and_the_public_authorities_are_trusted(system):
    assert authorities(trusted_context()) == of_file(system) | of_file(certifi.where())


def test_without_certifi_the_systems_are(system, monkeypatch):
    monkeypatch.setitem(sys.modules, "certifi", None)
    assert authorities(trusted_context()) == of_file(system)


def test_where_the_system_has_none_the_public_ones_are(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert authorities(trusted_context()) == of_file(certifi.where())


@pytest.mark.usefixtures("system")
def test_a_file_of_authorities_is_trusted_alone(tmp_path_factory):
    other = certificates.make(tmp_path_factory.mktemp("other")).authority
    assert authorities(trusted_context(other)) == of_file(other)


def test_certificate_and_host_name_are_verified():
    context = trusted_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_without_a_certificate_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        trusted_context(tmp_path / "none.pem")
    (tmp_path / "rubbish.pem").write_text("rubbish")
    with pytest.raises(ssl.SSLError):
        trusted_context(tmp_path / "rubbish.pem")
