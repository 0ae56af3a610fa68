"""The RabbitMQ of the tests is a real one, and breaks on request."""

import contextlib
import socket

import pika
import pytest

from tests.servers.rabbitmq import ADMIN, MONITOR, RabbitMQ, User
from tests.servers.server import HOST, is_free


def test_wrong_password_is_refused(rabbitmq):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        rabbitmq.connect(User("monitor", "wrong", ""))


def test_monitor_may_declare_no_queue_but_its_own(rabbitmq):
    with contextlib.closing(rabbitmq.connect(MONITOR)) as connection:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            connection.channel().queue_declare("mail")
        connection.channel().queue_declare("", exclusive=True)


@pytest.mark.parametrize("user", [ADMIN, MONITOR], ids=lambda user: user.name)
def test_a_message_makes_the_round_trip(rabbitmq, user):
    with contextlib.closing(rabbitmq.connect(user)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        name = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", name, b"hello", mandatory=True)
        assert channel.basic_get(name, auto_ack=True)[2] == b"hello"


def test_queue_holds_messages_and_consumers(rabbitmq):
    """A consumer's hands are full with one message, the others wait."""
    with rabbitmq.queue("mail", messages=5), contextlib.closing(rabbitmq.connect()) as connection:
        found = connection.channel().queue_declare("mail", passive=True).method
        assert (found.message_count, found.consumer_count) == (5, 0)
    with (
        rabbitmq.queue("mail", messages=5, consumers=2),
        contextlib.closing(rabbitmq.connect()) as connection,
    ):
        found = connection.channel().queue_declare("mail", passive=True).method
        assert (found.message_count, found.consumer_count) == (3, 2)


def test_alarm_blocks_publishers_until_it_is_over(rabbitmq):
    """Connecting works as ever; who publishes waits."""
    with rabbitmq.alarm(), pytest.raises(pika.exceptions.ConnectionBlockedTimeout):
        publish(rabbitmq)
    publish(rabbitmq)


def publish(rabbitmq):
    with contextlib.closing(rabbitmq.connect()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "nowhere", b"")


def test_paused_it_accepts_and_does_not_answer(rabbitmq):
    rabbitmq.pause()
    with socket.create_connection((HOST, rabbitmq.port), timeout=0.5) as connection:
        connection.sendall(b"AMQP\0\0\x09\x01")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    rabbitmq.resume()
    rabbitmq.connect().close()


def test_stopped_it_leaves_nothing_and_keeps_its_queues(rabbitmq):
    """No Erlang, no epmd; and the durable queue is there after the start."""
    with contextlib.closing(rabbitmq.connect()) as connection:
        connection.channel().queue_declare("kept", durable=True)
    family = rabbitmq.family() + rabbitmq.epmd.family()
    assert {"beam.smp", "epmd"} <= {each.name() for each in family}
    rabbitmq.pause()
    rabbitmq.stop()
    assert not any(each.is_running() for each in family)
    ports = (rabbitmq.port, rabbitmq.distribution_port, rabbitmq.epmd.port)
    assert all(is_free(port) for port in ports)
    rabbitmq.start()
    with contextlib.closing(rabbitmq.connect()) as connection:
        assert connection.channel().queue_delete("kept").method.message_count == 0


def test_closed_it_leaves_no_directory():
    rabbitmq = RabbitMQ()
    assert rabbitmq.directory.exists()
    rabbitmq.close()
    assert not rabbitmq.directory.exists()
