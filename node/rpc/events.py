"""Fan-out of node events to subscribers through bounded queues. A slow subscriber is dropped, never waited
for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

TOPICS: Final = ("heads", "transactions", "rounds", "versions", "peers")
QUEUE_EVENTS: Final = 1_000


class Subscription:
    """The events of some topics from the moment of subscribing on."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self._queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(QUEUE_EVENTS + 1)
        self.dropped = False
        """True once the subscriber fell more than QUEUE_EVENTS behind; the stream then ends."""

    def offer(self, topic: str, event: Any) -> None:
        """Queue an event, or end the stream if the queue is full."""
        if self.dropped:
            return
        if self._queue.qsize() >= QUEUE_EVENTS:
            self.dropped = True
            self._queue.put_nowait(None)
            return
        self._queue.put_nowait((topic, event))

    async def __aiter__(self) -> AsyncIterator[tuple[str, Any]]:
        while (item := await self._queue.get()) is not None:
            yield item


class EventHub:
    """Where services publish and subscribers listen; used from the event loop only."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def publish(self, topic: str, event: Any) -> None:
        """Hand `event` (JSON values) to everyone who listens to `topic`."""
        assert topic in TOPICS, topic
        for subscription in self._subscriptions:
            if topic in subscription.topics:
                subscription.offer(topic, event)

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        """Listen to `topics` from this moment on, until `unsubscribe`."""
        subscription = Subscription(topics)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening; a second call does nothing."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
