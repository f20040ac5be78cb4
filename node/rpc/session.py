"""One client of the node's events: its requests, its subscriptions, and the feeds that these start.

It knows no transport: messages come in as text and go out through an `Outlet`. `subscribe` and `unsubscribe`
are methods like all others, in the same dispatcher, so ids, batches, notifications and errors are the same.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from types import MethodType
from typing import Annotated, Final, Protocol

from engram.node.rpc.dispatcher import Dispatcher
from engram.node.rpc.events import TOPICS, EventHub, Subscription
from engram.node.rpc.jsonrpc import INVALID_PARAMS, MARK, Method, RpcFault, method_of, methods_of, rpc_method
from engram.node.rpc.parameters import WordForm

TOO_SLOW: Final = b"subscriber too slow"
"""Why a client's connection is closed that has fallen too far behind its events."""
_MADE: Final[ContextVar[list[str]]] = ContextVar("subscriptions made by the message that is being answered")


class Outlet(Protocol):
    """Where messages to one client go."""

    async def send(self, text: str) -> None:
        """Sends one message after those that came before it; does nothing if the client has gone."""

    async def close(self, reason: bytes) -> None:
        """Closes the connection and tells the client the reason."""


@dataclass(frozen=True)
class SessionReply:
    """The answer to one message."""

    text: str | None
    """None where nothing is answered."""
    subscriptions: tuple[str, ...]
    """Those that the message has made."""


class EventSession:
    """Answers the requests of one client and sends it the events that it has subscribed to."""

    def __init__(
        self, dispatcher: Dispatcher, hub: EventHub, outlet: Outlet, group: asyncio.TaskGroup, *, admin: bool
    ) -> None:
        """The feeds run in `group`; the client may call admin methods if `admin` is true."""
        self._dispatcher = dispatcher.joined(methods_of(self))
        self._hub = hub
        self._outlet = outlet
        self._group = group
        self._admin = admin
        self._subscriptions: dict[str, Subscription] = {}
        self._feeds: dict[str, asyncio.Task[None]] = {}
        self._made = 0

    async def answer(self, raw: str | bytes) -> SessionReply:
        """Answers one message; `send` sends the answer."""
        made: list[str] = []
        _MADE.set(made)
        return SessionReply(await self._dispatcher.answer(raw, admin=self._admin), tuple(made))

    async def send(self, reply: SessionReply) -> None:
        """Sends an answer. What its message has subscribed to begins to flow afterwards."""
        if reply.text is not None:
            await self._outlet.send(reply.text)
        for identity in reply.subscriptions:
            if identity in self._subscriptions:
                feed = self._feed(identity, self._subscriptions[identity])
                self._feeds[identity] = self._group.create_task(feed)

    def end(self) -> None:
        """Ends all subscriptions."""
        for identity in tuple(self._subscriptions):
            self._end(identity)

    @rpc_method(str)
    async def subscribe(self, *topics: Annotated[str, WordForm(TOPICS)]) -> str:
        """Send the events of topics from now on, each as a notification `subscription` with `params`
        {subscription, topic, result}. A connection hears a topic by one subscription only. A client that
        reads too slowly is disconnected with status 1008.

        Events of the time without a connection are not sent later. So subscribe first, also after each
        reconnection, and then ask for the present state, such as `chain_head`, `round_list`, `model_list` and
        `tx_status` give it.
        """
        if not topics or not set(topics) <= set(TOPICS):
            raise RpcFault(
                INVALID_PARAMS,
                f"subscribe needs one or more of the topics {', '.join(TOPICS)}",
                expected=list(TOPICS),
                got=[topic[:40] for topic in topics[: len(TOPICS)]],
            )
        for identity, subscription in self._subscriptions.items():
            if twice := subscription.topics.intersection(topics):
                raise RpcFault(
                    INVALID_PARAMS,
                    f"this connection hears {min(twice)} already; end that subscription, or open another"
                    " connection",
                    expected="topics that no subscription of this connection has",
                    got={"topic": min(twice), "subscription": identity},
                )
        self._made += 1
        identity = str(self._made)
        self._subscriptions[identity] = self._hub.subscribe(frozenset(topics))
        _MADE.get().append(identity)
        return identity

    @rpc_method(bool)
    async def unsubscribe(self, subscription: str) -> bool:
        """End a subscription; false if there is none of this name."""
        return self._end(subscription)

    def _end(self, identity: str) -> bool:
        subscription = self._subscriptions.pop(identity, None)
        if subscription is None:
            return False
        self._hub.unsubscribe(subscription)
        feed = self._feeds.pop(identity, None)
        if feed is not None:
            feed.cancel()
        return True

    async def _feed(self, identity: str, subscription: Subscription) -> None:
        head = f'{{"jsonrpc":"2.0","method":"subscription","params":{{"subscription":"{identity}",'
        async for event in subscription:
            await self._outlet.send(f"{head}{event.members}}}}}")
        await self._outlet.close(TOO_SLOW)


def session_methods() -> tuple[Method, ...]:
    """The methods that only a WebSocket has, as a description; no connection belongs to them."""
    own = (EventSession.subscribe, EventSession.unsubscribe)
    return tuple(
        method_of(each.__name__, MethodType(each, EventSession), **each.__dict__[MARK]) for each in own
    )
