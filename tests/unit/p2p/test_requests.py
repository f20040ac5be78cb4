"""Answers find their requests: once, in kind, late ones in silence."""

import asyncio

import pytest

from engram.p2p.errors import DisconnectReason, SessionEnded, UnsolicitedReply, WrongReply
from engram.p2p.messages import BlockData, GetBlock, Headers, Ping, Pong
from engram.p2p.requests import MAX_ABANDONED, PendingRequests


async def test_an_answer_reaches_its_request() -> None:
    pending = PendingRequests()
    first, second = (GetBlock(pending.new_id(), bytes(32)) for _ in range(2))
    answers = [pending.expect(request) for request in (first, second)]
    pending.settle(BlockData(second.request, b"second"))
    pending.settle(BlockData(first.request, None))
    assert [await answer for answer in answers] == [BlockData(1, None), BlockData(2, b"second")]


async def test_nothing_unasked_is_taken() -> None:
    pending = PendingRequests()
    with pytest.raises(UnsolicitedReply):
        pending.settle(Pong(1))
    request = Ping(pending.new_id())
    pending.expect(request)
    pending.settle(Pong(request.request))
    with pytest.raises(UnsolicitedReply):
        pending.settle(Pong(request.request))


async def test_another_kind_of_answer_leaves_the_request_open() -> None:
    pending = PendingRequests()
    request = GetBlock(pending.new_id(), bytes(32))
    answer = pending.expect(request)
    with pytest.raises(WrongReply):
        pending.settle(Headers(request.request, ()))
    assert not answer.done()


async def test_a_late_answer_is_dropped_once() -> None:
    pending = PendingRequests()
    request = GetBlock(pending.new_id(), bytes(32))
    answer = pending.expect(request)
    pending.abandon(request)
    pending.abandon(request)
    pending.settle(BlockData(request.request, b"late"))
    assert not answer.done()
    with pytest.raises(UnsolicitedReply):
        pending.settle(BlockData(request.request, b"late again"))


async def test_a_late_answer_of_another_kind_is_unasked() -> None:
    pending = PendingRequests()
    request = GetBlock(pending.new_id(), bytes(32))
    pending.expect(request)
    pending.abandon(request)
    with pytest.raises(UnsolicitedReply):
        pending.settle(Pong(request.request))


async def test_only_so_many_abandoned_requests_are_remembered() -> None:
    pending = PendingRequests()
    requests = [Ping(pending.new_id()) for _ in range(MAX_ABANDONED + 1)]
    for request in requests:
        pending.expect(request)
        pending.abandon(request)
    with pytest.raises(UnsolicitedReply):
        pending.settle(Pong(requests[0].request))
    pending.settle(Pong(requests[1].request))


async def test_the_end_fails_what_waits_and_what_comes() -> None:
    pending = PendingRequests()
    waiting = pending.expect(Ping(pending.new_id()))
    gone = pending.expect(Ping(pending.new_id()))
    gone.cancel()
    pending.end(DisconnectReason.SHUTDOWN)
    with pytest.raises(SessionEnded) as ended:
        await waiting
    assert ended.value.reason is DisconnectReason.SHUTDOWN
    with pytest.raises(SessionEnded):
        pending.expect(Ping(pending.new_id()))
    assert asyncio.isfuture(waiting)


def test_ids_start_over_after_the_last() -> None:
    pending = PendingRequests()
    pending._next_id = 2**32 - 2
    assert [pending.new_id() for _ in range(3)] == [2**32 - 1, 0, 1]
