"""How far pika came: its own hooks say when it connects, agrees on TLS, and begins with AMQP."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pika.adapters.select_connection import SelectConnection
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

from healthchecks import on_timeout
from healthchecks.clients.connection import break_off
from healthchecks.clients.progress import Progress, Step


def traced(progress: Progress) -> type[SelectConnection]:
    """The class of a connection for pika.BlockingConnection, which keeps the progress."""

    class Services(SelectorIOServicesAdapter):  # type: ignore[misc]  # pika has no types
        def connect_socket(self, sock: Any, *args: Any, **keys: Any) -> Any:
            progress.at(Step.CONNECT)
            on_timeout(partial(break_off, sock))
            return super().connect_socket(sock, *args, **keys)

        def create_streaming_connection(self, *args: Any, **keys: Any) -> Any:
            progress.at(Step.TLS if keys.get("ssl_context") else Step.ANSWER)
            return super().create_streaming_connection(*args, **keys)

    class Connection(SelectConnection):  # type: ignore[misc]
        @classmethod
        def create_connection(
            cls, connection_configs: Any, on_done: Callable[..., None], custom_ioloop: Any = None, workflow: Any = None
        ) -> Any:
            services = Services(custom_ioloop)

            def begin(parameters: Any) -> "Connection":
                progress.at(Step.ANSWER)
                return cls(parameters, custom_ioloop=services, internal_connection_workflow=False)

            return cls._start_connection_workflow(
                connection_configs=connection_configs,
                connection_factory=begin,
                nbio=services,
                workflow=workflow,
                on_done=on_done,
            )

    return Connection
