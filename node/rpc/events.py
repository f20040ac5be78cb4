"""Distributes the node's events to subscribers through bounded queues.

The node never waits for a subscriber. One that falls too far behind is dropped, because its queue would
otherwise grow for ever, and the subscriber is told so, because it must not believe that it has seen every
event. All queues hold the same event, which is put into JSON once, however many listen.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from engram.node.decimals import with_decimals

TOPICS: Final = ("heads", "transactions", "rounds", "versions", "peers", "pace")
QUEUE_EVENTS: Final = 1_000
WOKEN_AT_ONCE: Final = 64
"""So many subscribers' tasks are woken in one turn of the event loop."""


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
        self._events: deque[PublishedEvent] = deque()
        self._sleeper: asyncio.Future[None] | None = None
        self.dropped = False
        """True once `QUEUE_EVENTS` events waited and one more came; the iterator ends after them."""

    def offer(self, event: PublishedEvent) -> bool:
        """Queues an event, or ends the stream if the queue is full. True if `wake` has to be called."""
        if self.dropped:
            return False
        if len(self._events) >= QUEUE_EVENTS:
            self.dropped = True
        else:
            self._events.append(event)
        return self._sleeper is not None and len(self._events) == 1

    def wake(self) -> None:
        """Lets the iterator go on that waits for an event, if there is one."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def __aiter__(self) -> AsyncIterator[PublishedEvent]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self.dropped:
                return
            self._sleeper = asyncio.get_running_loop().create_future()
            try:
                await self._sleeper
            finally:
                self._sleeper = None


class EventHub:
    """Passes each event from the service that publishes it to all who subscribed. For the event loop only.

    To queue an event costs little, and is done at once for all. To wake a task costs ten times as much: the
    tasks of subscribers who wait are woken some at a time, so that the loop does other things in between,
    however many listen.
    """

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._asleep: deque[Subscription] = deque()
        """Those who have an event and whose tasks are still to be woken."""

    def publish(self, topic: str, value: Any) -> None:
        """Queues an event, which consists of JSON values, for every subscriber of `topic`."""
        if not self.hears(topic):
            return
        event = PublishedEvent(topic, value)
        found = [each for each in self._subscriptions if topic in each.topics and each.offer(event)]
        if found:
            if not self._asleep:
                asyncio.get_running_loop().call_soon(self._wake_some)
            self._asleep.extend(found)

    def hears(self, topic: str) -> bool:
        """Whether anybody has subscribed to a topic. If not, its events need not be made."""
        assert topic in TOPICS, f"services publish the topics of this list, not {topic}"
        return any(topic in each.topics for each in self._subscriptions)

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        """The events of `topics` from this moment on, until `unsubscribe` is called."""
        subscription = Subscription(topics)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription; a second call does nothing."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _wake_some(self) -> None:
        for _ in range(min(WOKEN_AT_ONCE, len(self._asleep))):
            self._asleep.popleft().wake()
        if self._asleep:
            asyncio.get_running_loop().call_soon(self._wake_some)
