"""The event hub: who listens hears what he asked for, in order; who does not read is dropped."""

import pytest

from engram.node.rpc.events import QUEUE_EVENTS, EventHub


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


def test_a_topic_that_nobody_declared_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        EventHub().publish("weather", 1)
