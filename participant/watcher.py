"""Watches the claims of scores: computes every claimed row again, and disputes the first chunk that is false.

Everything is derived from the chain each time the head moves, so a watcher that was stopped goes on where it
was: claims that are still open are computed again. What an author has claimed is taken from the blocks, and
compared with the roots in the state, so a node cannot make a true claim look false.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from engram.nn.engine import FAST, Engine
from engram.node.amounts import format_coins
from engram.node.epochs import in_epoch
from engram.node.errors import NodeUnreachable
from engram.participant.confirming import confirmation
from engram.participant.errors import ClaimedRowsMissing
from engram.participant.finding import is_open
from engram.participant.notices import Notice, Report
from engram.participant.obligations import REFUSALS, refusal_code
from engram.participant.recomputing import Pair, Recomputer
from engram.participant.reconnect import watch
from engram.participant.short_ids import short
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.errors import ChainError
from engram.primitives.keys import format_address
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.audit import first_tick_to_confirm
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.candidates import is_scored_on_all
from engram.statemachine.rounds.claims import (
    chunk_count,
    chunks_of,
    claim_bytes,
    claim_root,
    claimed_parts,
    name_of,
    prove_chunk,
    rows_of,
    subject_of,
)
from engram.statemachine.rounds.errors import ClaimDecided, ClaimHolds
from engram.statemachine.rounds.records import Candidate, ClaimStatus, Round, RoundStatus
from engram.statemachine.transactions.dispute_claim import DisputeClaim

PATIENCE_TICKS: Final = 1
"""With `confirm`, a claim is confirmed so many ticks after its author could have done it."""


@dataclass
class _Watched:
    """What is known of one claim."""

    candidate: Candidate
    pair: Pair | None = None
    """The networks, from the first part that is computed to the last."""
    true: dict[Hash, bytes] = field(default_factory=dict)
    """By the commitment of a part: the rows that were computed and are what the author claims."""
    false: tuple[int, int] | None = None
    """Part and number of the first false chunk."""
    quoted: bytes = b""
    """What the author claims of that part."""
    of: tuple[Hash, Hash] = ZERO_HASH, ZERO_HASH
    """The commitment of that part and the root of its claim: on another branch both can be others."""
    told: int = 0
    """So many parts were true when the claim was last told of."""
    lost: bool = False
    """Whether every node found the chunk to be as claimed."""
    said: set[str] = field(default_factory=set)
    """Codes of failures, and decisions, that were told."""


class Watcher:
    """Watches the open rounds of models whose scores are claimed, through one node."""

    def __init__(
        self,
        wallet: Wallet,
        report: Report,
        *,
        models: Collection[Hash] | None = None,
        confirms: bool = False,
        engine: Engine = FAST,
    ) -> None:
        """`models` are those to watch; None means all. With `confirms`, claims that hold are confirmed if
        their authors do not do it. The wallet pays for disputes and confirmations.
        """
        self.view: Final = ChainView(wallet.client)
        self.false_claims = 0
        """Claims that were found to be false."""
        self.checked_claims = 0
        """Claims of which every part was computed and was true."""
        self._wallet = wallet
        self._report = report
        self._models = models
        self._confirms = confirms
        self._recomputer = Recomputer(self.view, engine)
        self._watched: dict[bytes, _Watched] = {}
        self._known: dict[Hash, Model] = {}
        self._hrp = ""

    async def run(self, until: Hash | None = None) -> None:
        """Watches until this round has ended, or until it is cancelled.

        Raises `NodeUnreachable` when the client gives up.
        """

        count = None if self._models is None else len(self._models)
        which = "every model" if count is None else "one model" if count == 1 else f"{count} models"
        self._report(Notice(f"watching {which} whose scores are claimed", "watching"))

        async def look() -> bool | None:
            await self.look()
            if until is None or (await self.view.get(Round, until)).status == RoundStatus.OPEN:
                return None
            return True

        await watch(self._wallet.client, look, "heads")

    async def look(self) -> None:
        """Computes what has been claimed since the last look, disputes and confirms what can be now."""
        self._hrp = (await self.view.spec()).hrp
        standing: set[bytes] = set()
        for item in await self._wallet.client.call("round_list"):
            if not is_open(item):
                continue
            model = await self._model(bytes.fromhex(item["model"]))
            if model is None:
                continue
            round_ = await self.view.get(Round, bytes.fromhex(item["id"]))
            for candidate in await self.view.candidates(round_):
                if candidate.claim is None:
                    continue
                standing.add(candidate.key)
                await self._safely(round_, model, candidate)
        self._watched = {key: each for key, each in self._watched.items() if key in standing}

    async def _model(self, model_id: Hash) -> Model | None:
        """The model, if its claims are to be watched. Claims terms never change, so it is asked for once."""
        if self._models is not None and model_id not in self._models:
            return None
        if model_id not in self._known:
            self._known[model_id] = await self.view.get(Model, model_id)
        if self._known[model_id].claims is None:
            return None
        return await self.view.get(Model, model_id)

    async def _safely(self, round_: Round, model: Model, candidate: Candidate) -> None:
        """Looks at one claim; what fails there is told once and keeps nobody from looking at the others."""
        watched = self._watched.setdefault(candidate.key, _Watched(candidate))
        if watched.candidate.root != candidate.root:  # another branch has another candidate
            watched = self._watched[candidate.key] = _Watched(candidate)
        watched.candidate = candidate
        try:
            await self._look_at(round_, model, watched)
        except NodeUnreachable:
            raise
        except ChainError as error:
            if error.code not in watched.said:
                watched.said.add(error.code)
                text = f"{error} [{error.code}]; looking again at the next block"
                self._tell(round_, watched, text, "watch_failed", code=error.code)

    async def _look_at(self, round_: Round, model: Model, watched: _Watched) -> None:
        claim = watched.candidate.claim
        assert claim is not None, "only candidates with a claim are looked at"
        if claim.status != ClaimStatus.OPEN:
            self._tell_decided(round_, watched, ClaimStatus(claim.status))
            return
        if watched.false is not None and not _is_still_claimed(round_, model, watched):
            watched.false, watched.lost = None, False
        if watched.false is None:
            await self._compute(round_, model, watched)
        tick, rules = await self.view.tick(), (await self.view.spec()).rules
        if Calendar.of(round_, rules).at(tick).phase is not Phase.SCORE:
            return
        if watched.false is not None and not watched.lost:
            await self._dispute(round_, model, watched)
        elif watched.false is None and self._confirms:
            await self._confirm(round_, model, watched, tick)

    async def _compute(self, round_: Round, model: Model, watched: _Watched) -> None:
        """Computes every part that is claimed and was not computed, up to the first false chunk."""
        candidate, claim = watched.candidate, watched.candidate.claim
        assert claim is not None, "only candidates with a claim are computed"
        parts, begun = claimed_parts(round_, model), monotonic()
        watched.true = {name: watched.true[name] for name in map(name_of, parts) if name in watched.true}
        for number, root in enumerate(claim.roots):
            if root == ZERO_HASH:
                continue
            rows, name = rows_of(round_, parts[number]), name_of(parts[number])
            if name in watched.true and claim_root(rows, watched.true[name]) == root:
                continue
            if watched.pair is None:
                watched.pair = await self._recomputer.pair(round_, candidate.author, candidate.update)
            part = await self._recomputer.part(parts[number])
            true = claim_bytes(*await self._recomputer.rows(watched.pair, round_, model, part))
            if claim_root(rows, true) == root:
                watched.true[name] = true
                continue
            watched.quoted = await self._claimed(round_, candidate, number, root, rows)
            watched.of = name, root
            pairs = zip(chunks_of(rows, watched.quoted), chunks_of(rows, true), strict=True)
            watched.false = number, next(place for place, (own, other) in enumerate(pairs) if own != other)
            break
        whole = is_scored_on_all(round_, model, candidate) and bool(round_.unseen)
        if whole or watched.false is not None:
            watched.pair = None  # nothing is left to compute
        self._tell_computed(round_, model, watched, whole=whole, seconds=monotonic() - begun)

    async def _claimed(
        self, round_: Round, candidate: Candidate, number: int, root: Hash, rows: int
    ) -> bytes:
        """What the author has claimed of a part, out of the blocks. Raises `ClaimedRowsMissing`."""
        author = format_address(candidate.author, self._hrp)
        place: dict[str, Any] = {"id": round_.id, "epoch": candidate.epoch, "author": author}
        first: int | None = None
        while True:
            page = await self._wallet.client.call("round_claimed_rows", **place, first=first)
            for item in page["parts"]:
                raw = bytes.fromhex(item["rows"])
                if item["part"] == number and claim_root(rows, raw) == root:
                    return raw
            first = page["next"]
            if first is None:
                raise ClaimedRowsMissing(expected=root, got=number)

    async def _dispute(self, round_: Round, model: Model, watched: _Watched) -> None:
        """Disputes the false chunk, unless this account's dispute waits in the mempool already.

        It is done again while the claim is open: another branch may have neither the dispute nor room for it.
        """
        assert watched.false is not None, "only what is false is disputed"
        candidate, (part, number) = watched.candidate, watched.false
        claimed = claimed_parts(round_, model)[part]
        chunk = prove_chunk(part, rows_of(round_, claimed), watched.quoted, number)
        subject = subject_of(round_, candidate, claimed)
        payload = DisputeClaim(round_.id, candidate.epoch, candidate.author, subject, chunk)
        sent = {pending: txid for txid, pending in await self._wallet.pending()}.get(payload)
        reward = candidate.bond // 2
        if sent is None:
            await self._tell_costs(round_, watched, payload)
        try:
            sent = sent or await self._wallet.send(payload)
            await self._wallet.confirm(sent)
        except REFUSALS as error:
            code = refusal_code(error)
            if code == ClaimDecided.code:
                return  # somebody else was first; the next look tells what was decided
            if code == ClaimHolds.code:
                watched.lost = True
                text = (
                    "every node computed what the author claims, and this machine did not: do not trust its "
                    "engine, and tell the makers of Engram"
                )
                self._tell(round_, watched, text, "dispute_lost", part=part, chunk=number)
                return
            raise
        found = await self.view.find(Candidate, candidate.round, bytes([candidate.epoch]), candidate.author)
        if found is not None and found.claim is not None and found.claim.status == ClaimStatus.REFUTED:
            watched.said.add("refuted")
            text = f"refuted; {format_coins(reward)} coins of the author's bond are yours"
            self._tell(round_, watched, text, "claim_refuted", reward=reward, txid=sent.hex())

    async def _tell_costs(self, round_: Round, watched: _Watched, payload: DisputeClaim) -> None:
        """Tells what the dispute costs and brings. Raises `RemoteError` if no block could hold it now."""
        part, number, reward = payload.chunk.part, payload.chunk.number, watched.candidate.bond // 2
        estimate = await self._wallet.estimate(payload)
        deposit, fee = (await self.view.spec()).rules.min_author_bond, int(estimate["max_fee"])
        macs = int(estimate["macs"])
        text = (
            f"disputing chunk {number} of part {part}: every node computes {macs:,} multiply-accumulates. It "
            f"costs at most {format_coins(fee)} coins as a fee, and {format_coins(deposit)} more if the "
            f"claim holds; it brings {format_coins(reward)} if the claim is false"
        )
        costs = {"macs": macs, "max_fee": fee, "deposit": deposit, "reward": reward}
        self._tell(round_, watched, text, "disputing", part=part, chunk=number, **costs)

    async def _confirm(self, round_: Round, model: Model, watched: _Watched, tick: int) -> None:
        """Confirms a claim that this watcher found to be true, if its author does not."""
        candidate, claim = watched.candidate, watched.candidate.claim
        assert claim is not None, "only candidates with a claim are confirmed"
        assert model.claims is not None, "only models with claims are watched"
        if not round_.unseen or not is_scored_on_all(round_, model, candidate):
            return
        rules = (await self.view.spec()).rules
        if tick < first_tick_to_confirm(rules, model.claims.window, claim.last) + PATIENCE_TICKS:
            return

        async def rows(round_: Round, model: Model, candidate: Candidate, number: int) -> bytes:
            return watched.true[name_of(claimed_parts(round_, model)[number])]

        payload = await confirmation(self.view, round_, model, candidate, rows)
        try:
            await self._wallet.execute(payload)
        except REFUSALS as error:
            if refusal_code(error) != ClaimDecided.code:
                raise

    def _tell_computed(
        self, round_: Round, model: Model, watched: _Watched, *, whole: bool, seconds: float
    ) -> None:
        parts, count = claimed_parts(round_, model), len(watched.true)
        facts = {"parts": count, "seconds": round(seconds, 3)}
        if watched.false is not None:
            part, number = watched.false
            chunks = chunk_count(rows_of(round_, parts[part]))
            self.false_claims += 1
            text = f"FALSE in chunk {number} of {chunks} of part {part} ({seconds:.1f} s)"
            self._tell(round_, watched, text, "claim_false", part=part, chunk=number, **facts)
        elif count > watched.told:
            watched.told = count
            self.checked_claims += whole
            text = f"true on all {_parts(count)}" if whole else f"true on the first {_parts(count)}"
            self._tell(round_, watched, f"{text} ({seconds:.1f} s)", "claim_true", whole=whole, **facts)

    def _tell_decided(self, round_: Round, watched: _Watched, status: ClaimStatus) -> None:
        word = status.name.lower()
        if word in watched.said:
            return
        watched.said.add(word)
        watched.pair = None
        missed = status is ClaimStatus.CONFIRMED and watched.false is not None
        text = "confirmed, although it is FALSE: nobody disputed it in time" if missed else word
        self._tell(round_, watched, text, f"claim_{word}")

    def _tell(self, round_: Round, watched: _Watched, text: str, event: str, **facts: Any) -> None:
        candidate = watched.candidate
        author = format_address(candidate.author, self._hrp)
        place = {"round": round_.id.hex(), "model": round_.model.hex(), "epoch": candidate.epoch}
        name = f"round {short(round_.id.hex())}, {in_epoch(candidate.epoch)}, claim of {author}"
        self._report(Notice(f"{name}: {text}", event, **place, author=author, **facts))


def _is_still_claimed(round_: Round, model: Model, watched: _Watched) -> bool:
    """Whether the author still claims of the same part what was found to be false."""
    claim, parts = watched.candidate.claim, claimed_parts(round_, model)
    assert claim is not None, "only candidates with a claim are watched"
    assert watched.false is not None, "something was found to be false"
    number, _ = watched.false
    known = number < min(len(parts), len(claim.roots))
    return known and (name_of(parts[number]), claim.roots[number]) == watched.of


def _parts(count: int) -> str:
    return "part" if count == 1 else f"{count} parts"
