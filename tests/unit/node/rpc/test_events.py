"""The event hub: who listens hears what he asked for, in order; who does not read is dropped."""

import asyncio

import pytest

from engram.node.rpc.events import QUEUE_EVENTS, TOPICS, WOKEN_AT_ONCE, EventHub


async def test_a_subscriber_hears_its_topics_in_order() -> None:
    hub = EventHub()
    subscription = hub.subscribe(frozenset({"heads", "rounds"}))
    for number, topic in enumerate(("heads", "peers", "rounds", "heads")):
        hub.publish(topic, number)
    heard = []
    async for event in subscription:
        heard.append((event.topic, event.value))
        if len(heard) == 3:
            break
    assert heard == [("heads", 0), ("rounds", 2), ("heads", 3)]


async def test_a_slow_subscriber_is_dropped_and_the_others_are_not() -> None:
    hub = EventHub()
    slow, quick = (hub.subscribe(frozenset({"heads"})) for _ in range(2))
    heard = []
    events = aiter(quick)
    for number in range(QUEUE_EVENTS + 5):
        hub.publish("heads", number)
        heard.append((await anext(events)).value)
    assert slow.dropped
    assert not quick.dropped
    assert heard == list(range(QUEUE_EVENTS + 5))
    assert [event.value async for event in slow] == list(range(QUEUE_EVENTS))


async def test_an_event_is_put_into_json_once_for_all_who_listen() -> None:
    hub = EventHub()
    listeners = [aiter(hub.subscribe(frozenset({"heads"}))) for _ in range(3)]
    hub.publish("heads", {"fee": 2**60, "height": 7})
    heard = [(await anext(each)).members for each in listeners]
    assert heard[0] == f'"topic":"heads","result":{{"fee":"{2**60}","height":7}}'
    assert all(each is heard[0] for each in heard)


def test_nothing_is_kept_for_those_who_left() -> None:
    hub = EventHub()
    subscription = hub.subscribe(frozenset({"heads"}))
    hub.unsubscribe(subscription)
    hub.unsubscribe(subscription)
    for number in range(QUEUE_EVENTS + 5):
        hub.publish("heads", number)
    assert not subscription.dropped


def test_who_makes_events_can_ask_whether_anybody_listens() -> None:
    hub = EventHub()
    subscription = hub.subscribe(frozenset({"heads", "rounds"}))
    assert [topic for topic in TOPICS if hub.hears(topic)] == ["heads", "rounds"]
    hub.publish("peers", object())
    hub.unsubscribe(subscription)
    assert not any(map(hub.hears, TOPICS))


def test_a_topic_that_nobody_declared_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        EventHub().publish("weather", 1)


async def test_those_who_wait_are_woken_some_at_a_time() -> None:
    """However many listen, an event does not keep the loop from other things; all of them hear it."""
    hub, heard = EventHub(), list[int]()

    async def listen(number: int) -> None:
        async for _ in hub.subscribe(frozenset({"heads"})):
            heard.append(number)

    tasks = [asyncio.create_task(listen(number)) for number in range(5 * WOKEN_AT_ONCE)]
    await asyncio.sleep(0)
    hub.publish("heads", 1)
    turns = []
    for _ in range(20):
        before = len(heard)
        await asyncio.sleep(0)
        turns.append(len(heard) - before)
    assert max(turns) <= WOKEN_AT_ONCE
    assert heard == list(range(len(tasks))), "in the order in which they subscribed"
    hub.publish("heads", 2)
    hub.publish("heads", 3)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(heard) == 3 * len(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
