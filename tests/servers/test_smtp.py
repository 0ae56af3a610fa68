"""The SMTP server: it is a real one, and keeps what it gets."""

import smtplib
import ssl

import pytest

from tests.servers import certificates
from tests.servers.server import HOST
from tests.servers.smtp import SmtpServer


@pytest.fixture
def trusted(tmp_path):
    return certificates.make(tmp_path)


def test_message_arrives(trusted):
    """Over TLS and without it; nothing is left after forget()."""
    context = ssl.create_default_context(cafile=trusted.authority)
    with SmtpServer(trusted.good) as server:
        for secured in (True, False):
            with smtplib.SMTP(HOST, server.port) as client:
                if secured:
                    client.starttls(context=context)
                client.sendmail("checks@example.com", ["ops@example.com"], f"Subject: {secured}\r\n\r\nDisk is full")
        assert {each["Subject"] for each in server.messages()} == {"True", "False"}
        assert {each.get_payload() for each in server.messages()} == {"Disk is full\n"}
        server.forget()
        assert server.messages() == []


def test_no_starttls_without_a_certificate():
    with SmtpServer() as server, smtplib.SMTP(HOST, server.port) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
