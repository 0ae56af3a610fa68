"""The first request of a worker, which goes to a server of its own."""

import socket

from healthchecks.clients.http import rehearsal
from healthchecks.clients.http.client import Client


def test_a_response_is_received(monkeypatch):
    received = []
    send = Client.send
    monkeypatch.setattr(Client, "send", lambda *arguments: received.append(send(*arguments)))
    rehearsal.rehearse_request()
    assert [(each.status, each.text) for each in received] == [(200, "ok")]


def test_nothing_is_raised_where_there_is_no_loopback(monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_server", refuse)
    rehearsal.rehearse_request()
