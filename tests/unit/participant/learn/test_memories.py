"""Both memories together: what labels mean, what is answered, and over HTTP to whom."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from engram.node.errors import RemoteError
from engram.participant.learn.consolidator import Outlook
from engram.participant.learn.endpoint import MAX_ROWS, LearnClient, LearnEndpoint, names_of, rows_of
from engram.participant.learn.errors import LearnerMissing, QueryInvalid, QueryTooLarge, RowsMissing
from engram.participant.learn.lessons import contents, lesson_of, record_of, taught_rows
from engram.participant.learn.memories import Memories, Numbering
from engram.participant.learn.opening import cut_off
from engram.participant.learn.policy import Surprise
from engram.participant.memory.errors import StatisticsMissing
from engram.participant.memory.mixture_set import MixtureSet, make_set
from engram.participant.memory.statistics import Statistics, make
from engram.statemachine.rules import Rules
from tests.support.memories import MODEL, folder_at, opened_memories, proven
from tests.support.recalling import NEW, OLD

MINE = MODEL.train.of_classes(NEW)
TEST, LABELS = MODEL.test.features, MODEL.test.labels.astype(np.int64)
RULES = Rules(min_parts=3, min_sealed=1, min_sealed_rows=12, min_old_rows=4)


async def test_labels_numbered_as_on_the_chain_are_its_classes(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven()) as memories:
        old = MODEL.train.of_classes(OLD).take(np.arange(100))
        memories.learn(old.features, old.labels)
        memories.learn(MINE.features, MINE.labels, {8: "eight"})
        assert memories.known() == {label: label for label in np.unique(old.labels).tolist()}
        assert set(memories.unknown()) == set(NEW)
        answers = memories.answer(TEST)
        assert np.mean([answer.label == label for answer, label in zip(answers, LABELS, strict=True)]) > 0.85
        assert {answer.name for answer in answers if answer.label == 8} == {"eight"}
        for answer in answers:
            assert answer.fast == (answer.chain_class is None) == (answer.label in NEW)
            assert answer.to_json()["memory"] == ("fast" if answer.fast else "slow")
            assert answer.version == 1


async def test_own_labels_mean_nothing_on_the_chain(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven(), numbering=Numbering.OWN) as memories:
        memories.learn(MINE.features, np.where(MINE.labels == 8, 3, 5))
        assert set(memories.unknown()) == {3, 5}
        answers = memories.answer(TEST)
        wanted = {**{label: (None, label) for label in OLD}, 8: (3, None), 9: (5, None)}
        right = [
            (answer.label, answer.chain_class) == wanted[label]
            for answer, label in zip(answers, LABELS.tolist(), strict=True)
        ]
        assert np.mean(right) > 0.85


async def test_surprise_is_what_the_chain_does_not_answer_rightly(tmp_path: Path) -> None:
    surprise = Surprise(50)
    with opened_memories(tmp_path / "a", await proven(), surprise=surprise) as memories:
        old = MODEL.train.of_classes(OLD)
        memories.learn(old.features[:60], old.labels[:60])
        shares = [memories.surprise or 0.0]
        memories.learn(MINE.features[:50], MINE.labels[:50])
        shares.append(memories.surprise or 0.0)
        assert shares[0] < 0.2 < 0.8 < shares[1]
        memories.forget(10**6, {8: 8, 9: 9})
        assert memories.surprise is None
        assert memories.unknown() == {}


async def test_without_sums_of_the_chains_classes_no_gate_decides(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven(), sums=False) as memories:
        assert not any(answer.fast for answer in memories.answer(TEST[:5]))
        memories.learn(MINE.features[:50], MINE.labels[:50])
        with pytest.raises(StatisticsMissing):
            memories.answer(TEST[:5])
        memories.folder.keep(MODEL.statistics)
        memories.hand_over()
        assert len(memories.answer(TEST[:5])) == 5


async def test_parts_are_cut_off_before_anything_is_taught(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven()) as memories:
        old = MODEL.train.of_classes(OLD).take(np.arange(150))
        memories.learn(old.features, old.labels)
        memories.learn(MINE.features, MINE.labels)
        known, became = memories.examples(), {8: 8, 9: 9}
        cut = cut_off(known, memories.known(), became, RULES, frozenset(), part_rows=30, least_rows=20)
        assert cut.data.rows == cut.parts * cut.rows
        assert np.count_nonzero(cut.data.labels < 8) * 2 >= cut.data.rows - cut.parts
        held = frozenset(row.tobytes() for row in cut.data.features)
        taught = taught_rows(known, became, held)
        assert not held & {row.tobytes() for row in taught.rows}
        assert (
            len(taught.labels) + np.count_nonzero(cut.data.labels >= 8)
            == memories.unknown()[8] + (memories.unknown()[9])
        )
        with pytest.raises(RowsMissing, match="feed more"):
            cut_off(known, memories.known(), became, RULES, held, part_rows=30, least_rows=200)
        with pytest.raises(RowsMissing):
            cut_off(known, {}, became, RULES, frozenset(), least_rows=20)


async def test_a_lesson_keeps_the_sums_of_exactly_the_rows_that_it_taught(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven()) as memories:
        memories.learn(MINE.features[:90], MINE.labels[:90])
        known = memories.examples()
        held = frozenset(row.tobytes() for row in known.rows[:10])
        taught = taught_rows(known, {8: 8, 9: 9}, held)
        record = record_of(memories, taught, {8: 8, 9: 9})
        assert record.before == known.before
        assert sum(each.rows for each in record.classes) == len(taught.labels) == 80
        (sums,) = contents(memories, record)
        assert isinstance(sums, Statistics)
        whole = make(memories.banks, taught.values.astype(np.uint8), taught.labels)
        assert np.array_equal(sums.gram, whole.gram)
        lesson = lesson_of(memories, taught, {8: 8, 9: 9}, 8, 0)
        assert lesson.rows.rows == 80
        few = taught.where(np.arange(80) < 30)
        small = record_of(memories, few, {8: 8, 9: 9})
        assert small.sums == b"", "sums of so few rows would give them away"


async def test_authors_who_hand_over_mixtures_keep_mixtures(tmp_path: Path) -> None:
    """Both sides of the gate are drawn from mixtures then."""
    folder = folder_at(tmp_path / "memory", sums=False, engine="replay")
    old = MODEL.train.of_classes(OLD)
    bank, settings = MODEL.banks.rule.bank_id, {"components": 1, "rank": 10}
    folder.keep(make_set(bank, MODEL.trunk.run(old.features), old.labels, **settings))
    with opened_memories(tmp_path / "a", await proven(), sums=False) as memories:
        memories.learn(MINE.features, MINE.labels)
        answers = memories.answer(TEST)
        assert np.mean([answer.label == label for answer, label in zip(answers, LABELS, strict=True)]) > 0.7
        taught = memories.examples()
        record = record_of(memories, taught, {8: 8, 9: 9})
        (kept,) = contents(memories, record)
        assert isinstance(kept, MixtureSet)
        assert kept.classes == (8, 9)
        lesson = lesson_of(memories, taught, {8: 8, 9: 9}, 8, 0)
        assert set(lesson.mixtures) == set(OLD)
        folder.keep(kept)
        assert set(lesson_of(memories, taught, {8: 8, 9: 9}, 8, 0).mixtures) == set(OLD)
        assert set(lesson_of(memories, taught, {8: 8, 9: 9}, 10, 0).mixtures) == {*OLD, *NEW}


class Answering:
    """Memories that nobody consolidates, for the endpoint."""

    def __init__(self, memories: Memories) -> None:
        self.memories = memories

    async def learn(self, rows: Any, labels: Any, names: Any = None) -> Any:
        return await asyncio.to_thread(self.memories.learn, rows, labels, names)

    async def answer(self, rows: Any) -> Any:
        return await asyncio.to_thread(self.memories.answer, rows)

    async def status(self) -> dict[str, Any]:
        return self.memories.facts

    async def outlook(self) -> Outlook:
        return Outlook("wait", "nothing is consolidated here", {})


@asynccontextmanager
async def served(memories: Memories) -> AsyncIterator[LearnEndpoint]:
    endpoint = LearnEndpoint(Answering(memories), "secret")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(endpoint.run())
        await endpoint.serving.wait()
        yield endpoint
        running.cancel()


async def test_whoever_has_the_token_may_teach_and_ask(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven()) as memories:
        async with served(memories) as endpoint, LearnClient(endpoint.url, "secret") as client:
            content = {"rows": MINE.features[:60].tolist(), "labels": MINE.labels[:60].tolist()}
            learned = await client.post("/learn", {**content, "names": {"9": "nine"}})
            assert learned == {"rows": 60, "kept": 60}
            answers = (await client.post("/answer", {"rows": TEST[:7].tolist()}))["answers"]
            assert [answer["class"] is None for answer in answers] == [
                answer["memory"] == "fast" for answer in answers
            ]
            assert (await client.get("/status"))["examples"] == 60
            assert (await client.get("/outlook"))["action"] == "wait"
            for content, code in (
                ({"rows": [[1, 2]]}, "feature_count_mismatch"),
                ({"rows": [[0.5] * 64]}, "features_not_integers"),
                ({"rows": [["1"] * 64]}, "feature_count_mismatch"),
                ({"rows": []}, "query_invalid"),
                ({"row": [[1] * 64]}, "query_invalid"),
            ):
                with pytest.raises(RemoteError) as refused:
                    await client.post("/answer", content)
                assert refused.value.code == code
        async with LearnClient(endpoint.url, "secret") as client:
            with pytest.raises(LearnerMissing):
                await client.get("/status")


async def test_nobody_else_may(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", await proven()) as memories:
        async with served(memories) as endpoint, aiohttp.ClientSession() as session:
            right = {"Authorization": "Bearer secret"}
            for headers, status in (
                ({}, 401),
                ({"Authorization": "Bearer wrong"}, 401),
                ({**right, "Origin": "http://a.example"}, 403),
                ({**right, "Host": "a.example"}, 403),
                (right, 200),
            ):
                async with session.get(endpoint.url + "/status", headers=headers) as answer:
                    assert answer.status == status


async def test_bodies_at_their_edges_are_no_bugs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, right = [[1] * 64], {"Authorization": "Bearer secret"}
    bodies: list[tuple[dict[str, str], bytes]] = [
        ({"Content-Encoding": "deflate"}, b"xxxx"),
        ({"Content-Encoding": "gzip"}, b"xxxx"),
        ({"Content-Encoding": "gzip"}, gzip.compress(json.dumps({"rows": rows, "labels": [1]}).encode())),
        ({}, b"{"),
        ({}, b"[" * 100_000),
        ({}, b'{"rows": [[' + b"9" * 5_000 + b']], "labels": [1]}'),
        ({}, json.dumps({"rows": rows, "labels": [2**63]}).encode()),
        ({}, json.dumps({"rows": rows, "labels": [True]}).encode()),
        ({}, json.dumps({"rows": rows, "labels": [1], "names": {"9" * 5_000: "x"}}).encode()),
    ]
    with opened_memories(tmp_path / "a", await proven()) as memories:
        async with served(memories) as endpoint, aiohttp.ClientSession(headers=right) as session:
            for headers, body in bodies:
                async with session.post(endpoint.url + "/learn", data=body, headers=headers) as answer:
                    assert answer.status == 400, body[:40]
                    assert (await answer.json())["error"]["code"] == "query_invalid"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_requests_are_checked_before_they_are_believed() -> None:
    with pytest.raises(QueryTooLarge):
        rows_of([[1]] * (MAX_ROWS + 1))
    refused: tuple[Any, ...] = (None, {}, [1], "rows")
    for wrong in refused:
        with pytest.raises(QueryInvalid):
            rows_of(wrong)
    assert names_of({"7": "seven"}) == {7: "seven"}
    foreign: tuple[Any, ...] = ([], {"seven": "7"}, {"7": 7})
    for names in foreign:
        with pytest.raises(QueryInvalid):
            names_of(names)


async def test_without_a_daemon_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(LearnerMissing):
        LearnClient.of_folder(tmp_path / "learn")
