"""Distributes the node's events to subscribers through bounded queues.

The node never waits for a subscriber. One that falls too far behind is dropped, because its queue would
otherwise grow for ever, and the subscriber is told so, because it must not believe that it has seen every
event. All queues hold the same event, which is put into JSON once, however many listen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from engram.node.decimals import with_decimals

TOPICS: Final = ("heads", "transactions", "rounds", "versions", "peers", "pace")
QUEUE_EVENTS: Final = 1_000


@dataclass(frozen=True)
class PublishedEvent:
    """Something that has happened."""

    topic: str
    value: Any
    """It consists of JSON values."""

    @cached_property
    def members(self) -> str:
        """The members `topic` and `result` of a notification, as JSON; made once for all who listen."""
        document = {"topic": self.topic, "result": with_decimals(self.value)}
        return json.dumps(document, separators=(",", ":"))[1:-1]


class Subscription:
    """The events of some topics, from the moment of subscribing on, as an asynchronous iterator."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self._queue: asyncio.Queue[PublishedEvent | None] = asyncio.Queue(QUEUE_EVENTS + 1)
        self.dropped = False
        """True once `QUEUE_EVENTS` events waited and one more came; the iterator ends after them."""

    def offer(self, event: PublishedEvent) -> None:
        """Queues an event, or ends the stream if the queue is full."""
        if self.dropped:
            return
        if self._queue.qsize() >= QUEUE_EVENTS:
            self.dropped = True
            self._queue.put_nowait(None)
            return
        self._queue.put_nowait(event)

    async def __aiter__(self) -> AsyncIterator[PublishedEvent]:
        while (item := await self._queue.get()) is not None:
            yield item


class EventHub:
    """Passes each event from the service that publishes it to all who subscribed. For the event loop only."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def publish(self, topic: str, value: Any) -> None:
        """Queues an event, which consists of JSON values, for every subscriber of `topic`."""
        assert topic in TOPICS, f"services publish the topics of this list, not {topic}"
        event = PublishedEvent(topic, value)
        for subscription in self._subscriptions:
            if topic in subscription.topics:
                subscription.offer(event)

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        """The events of `topics` from this moment on, until `unsubscribe` is called."""
        subscription = Subscription(topics)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription; a second call does nothing."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
