"""A story of a lie in one row, on a network so large that no node computes every score.

A founder founds a model of ten million weights whose authors claim their scores. One author is honest.
Another claims that one row of many is predicted better than it is. A watcher computes both claims, finds the
row and disputes its chunk: every node computes these few rows. The liar loses the bond, half of it to the
watcher, and the honest version stands. What turns out otherwise is an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.consensus.chainspec import Allocation, local
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.nn.spec import macs_per_row
from engram.node.amounts import format_coins
from engram.node.localnet.localnet import Localnet
from engram.participant.adversaries import flattering
from engram.participant.arena.arena import PURSE, key_of
from engram.participant.arena.network import NetworkVenue
from engram.participant.author import Author
from engram.participant.claiming import Telling, truly
from engram.participant.datasets import Dataset, load_digits
from engram.participant.demo.readout import outputs_only
from engram.participant.demo.report import expect
from engram.participant.journal import Journal
from engram.participant.notices import Notice, Report
from engram.participant.opener import Opener
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.round_plan import DraftedRound, ModelPlan, RoundPlan, draft_founding
from engram.participant.selection import GivenRows
from engram.participant.verification import Disputed
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.participant.watcher import Watcher
from engram.primitives.keys import format_address
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.claims import chunk_count, chunk_rows
from engram.statemachine.rounds.records import Round, RoundStatus

NEURONS: Final = 12_700
"""Hidden neurons: with 784 inputs and ten classes, 10,083,800 weights."""
BLOCK_TIME_MS: Final = 350
ROWS: Final = 200
"""Rows of a part."""
HONEST_ROWS: Final = 400
"""Rows that the honest author has; the liar has the rest."""
LIE: Final = (1, 100)
"""Part and row of the lie: in a part that decides, which the author saw only when it was opened."""
BOUNTY: Final = 50 * 10**8
FOUNDER: Final = "founder"
HONEST: Final = "honest"
LIAR: Final = "liar"
WATCHER: Final = "watcher"
ACTORS: Final = (FOUNDER, HONEST, LIAR, WATCHER)
_WINDOWS: Final = {
    **{"open": 6, "reveal": 6, "commit": 8, "update": 8},
    **{"witness": 6, "audit": 6, "score": 8, "gap": 2},
}
_SIDE: Final = 8
"""The digits are squares of so many pixels; each becomes a square of `_ZOOM`, with a margin around all."""
_ZOOM: Final = 3
_MARGIN: Final = 2

Say = Callable[[str, str], None]
"""Told who has done something, and what."""


@dataclass(frozen=True)
class HeavyOptions:
    """What a user decides about the story."""

    folder: Path
    """A new or empty directory for the nodes and the secrets."""
    nodes: int
    seed: int
    neurons: int = NEURONS


@dataclass
class HeavyReport:
    """What came of the story."""

    nodes: int
    seed: int
    weights: int
    """Weights and biases of the network."""
    macs_per_row: int
    rows: int
    """Rows of all claimed parts of one update."""
    chunks: int
    disputed_rows: int = 0
    claim_macs: int = 0
    """Multiply-accumulates of one whole claim: version t and the update on all rows."""
    dispute_macs: int = 0
    """Multiply-accumulates of the disputed chunk, which every node computes."""
    charged_macs: int = 0
    """What a block charges for the dispute: loading the networks and the part counts, too."""
    bond: int = 0
    """What the liar has lost, in sparks."""
    reward: int = 0
    """What the watcher got of it."""
    dispute_fee: int = 0
    """The most that the dispute could cost the watcher, in sparks."""
    accuracy: float = 0.0
    """Of the version that stands, on the rows that were sealed."""
    state_root: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


async def play_heavy(options: HeavyOptions, say: Say) -> HeavyReport:
    """Plays the story and returns the report. The nodes are stopped at the end; their files stay.

    Raises `UnexpectedOutcome` if something turns out otherwise than the protocol promises, and what starting
    the nodes and the participants raise.
    """
    begun = time.monotonic()
    allocations = tuple(Allocation(key_of(name).address, PURSE) for name in ACTORS)
    spec = replace(local(allocations, time.time_ns() // 1_000_000), block_time_ms=BLOCK_TIME_MS)
    say("nodes", f"{options.nodes} nodes start, each with its own database and proof of work")
    async with _network(options, spec, say) as venue:
        data = await asyncio.to_thread(_shares, options.seed)
        round_id = await _found(venue, options, data[FOUNDER], say)
        said = await _play(venue, round_id, data, say)
        head = await venue.net.settle()
        report = await _check(venue, options, round_id, said, say)
        report.state_root = head["state_root"]
    report.seconds = round(time.monotonic() - begun, 1)
    say("nodes", f"all hold the same state; the story took {report.seconds:.0f} s")
    return report


@asynccontextmanager
async def _network(options: HeavyOptions, spec: Any, say: Say) -> AsyncIterator[NetworkVenue]:
    miners = [key_of(f"miner {number}").address for number in range(options.nodes)]
    async with Localnet(options.folder, spec, nodes=options.nodes, miners=miners) as net:
        yield NetworkVenue(options.folder, net, ACTORS, lambda notice: say("founder", str(notice)))


def _shares(seed: int) -> dict[str, Dataset]:
    """Rows of each actor: the digits, as pictures of 28 times 28 pixels."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(digits.rows)
    pictures = digits.features.reshape(-1, _SIDE, _SIDE).repeat(_ZOOM, axis=1).repeat(_ZOOM, axis=2)
    margins = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
    whole = Dataset(np.pad(pictures, margins).reshape(digits.rows, -1), digits.labels).take(order)
    ends = 6 * ROWS, 6 * ROWS + HONEST_ROWS
    return {
        FOUNDER: whole.take(np.arange(ends[0])),
        HONEST: whole.take(np.arange(*ends)),
        LIAR: whole.take(np.arange(ends[1], whole.rows)),
    }


async def _found(venue: NetworkVenue, options: HeavyOptions, data: Dataset, say: Say) -> Hash:
    plan = RoundPlan(
        *(GivenRows(data), 6, ROWS, 1, 2), epochs=1, windows=_WINDOWS, bounty=BOUNTY, seed=options.seed
    )
    model = ModelPlan(
        *(LossKind.SOFTMAX_CROSS_ENTROPY, Policy.STRICT, 200_000, None, 250_000, 200_000),
        hidden=(options.neurons,),
        verification=Disputed(),
    )
    say(FOUNDER, f"draws a network 784-{options.neurons:,}-10 and uploads it")

    async def draft(wallet: Wallet) -> DraftedRound:
        return await draft_founding(wallet, plan, model)

    round_id = await venue.open(FOUNDER, draft)
    async with venue.client() as client:
        view = ChainView(client)
        model_record = await view.get(Model, (await view.get(Round, round_id)).model)
        assert model_record.claims is not None, "the plan asks for claims"
        totals = (await view.head_network(model_record)).spec.totals
        say(
            FOUNDER,
            f"founded a model of {totals.parameter_bytes:,} bytes of weights; scores are claimed, anyone may "
            f"dispute them for {model_record.claims.window} ticks, {model_record.claims.audited} chunks are "
            "audited",
        )
    return round_id


async def _play(venue: NetworkVenue, round_id: Hash, data: Mapping[str, Dataset], say: Say) -> list[Notice]:
    """Everybody plays; gives what the watcher has said."""
    said: list[Notice] = []
    names = {format_address(key_of(name).address, venue.net.spec.hrp): name for name in ACTORS}

    def telling(name: str) -> Report:
        def tell(notice: Notice) -> None:
            if name == WATCHER:
                said.append(notice)
            say(name, _named(str(notice), names))

        return tell

    def author(name: str, claims: Telling) -> Callable[[Wallet], Awaitable[object]]:
        async def play(wallet: Wallet) -> object:
            journal = Journal(venue.folder / ROUNDS_DIRECTORY)
            strategy = outputs_only(data[name])
            return await Author(wallet, strategy, telling(name), journal=journal, telling=claims).play(
                round_id
            )

        return play

    async def opener(wallet: Wallet) -> Round:
        return await Opener(wallet, venue.folder / ROUNDS_DIRECTORY, telling(FOUNDER)).run(round_id)

    async def watch(wallet: Wallet) -> None:
        await Watcher(wallet, telling(WATCHER)).run(round_id)

    others = {HONEST: author(HONEST, truly), LIAR: author(LIAR, flattering(*LIE)), WATCHER: watch}
    await venue.play(round_id, opener, {}, others, opener_name=FOUNDER)
    return said


def _named(text: str, names: Mapping[str, str]) -> str:
    """The text with the names of actors in place of their addresses."""
    for address, name in names.items():
        text = text.replace(address, name)
    return text


async def _check(
    venue: NetworkVenue, options: HeavyOptions, round_id: Hash, said: list[Notice], say: Say
) -> HeavyReport:
    """Reads the chain, and checks that it all came as it should."""
    async with venue.client() as client:
        view = ChainView(client)
        round_ = await view.get(Round, round_id)
        model = await view.get(Model, round_.model)
        network = (await view.head_network(model)).spec
        parts = len(round_.validation_opened) + len(round_.unseen)
        each = macs_per_row(network)
        rows = chunk_rows(ROWS)
        report = HeavyReport(
            *(options.nodes, options.seed, 784 * options.neurons + 10 * options.neurons, each),
            *(parts * ROWS, parts * chunk_count(ROWS), rows, 2 * parts * ROWS * each, 2 * rows * each),
        )
        found = [notice for notice in said if notice.event == "claim_false"]
        place = [(notice.facts["part"], notice.facts["chunk"]) for notice in found]
        expect(place == [(LIE[0], LIE[1] // rows)], "the watcher has not found the one lie", got=place)
        (disputing,) = (notice for notice in said if notice.event == "disputing")
        report.charged_macs, report.dispute_fee = disputing.facts["macs"], disputing.facts["max_fee"]
        (refuted,) = (notice for notice in said if notice.event == "claim_refuted")
        report.bond, report.reward = round_.terms.author_bond, int(refuted.facts["reward"])
        expect(report.reward == report.bond // 2, "the watcher did not get half", got=report.reward)
        outcomes = await client.call("round_outcomes", id=round_id)
        reasons = {update["author"]: update["reasons"] for update in outcomes["updates"]}
        expect(["claim_refuted"] in reasons.values(), "the chain does not tell of the lie", got=reasons)
        expect(round_.status == RoundStatus.DECIDED, "the round made no version", got=round_.status)
        winner = key_of(HONEST).address
        expect(round_.winner == winner, "the honest author has not won", expected=winner, got=round_.winner)
        verdicts = await client.call("round_verdicts", id=round_id)
        correct = next(int(each["correct"]) for each in verdicts if not each["reasons"])
        report.accuracy = round(correct / (len(round_.unseen) * ROWS), 4)
    share = report.dispute_macs / report.claim_macs
    say(
        "chain",
        f"of {report.claim_macs:,} multiply-accumulates of the false claim, every node computed "
        f"{report.dispute_macs:,}: {report.disputed_rows} of {report.rows} rows ({share:.1%})",
    )
    say(LIAR, f"lost the bond of {format_coins(report.bond)} coins")
    say(WATCHER, f"got {format_coins(report.reward)} coins; the other half burned")
    say(HONEST, f"version 1 stands, with {report.accuracy:.1%} of the unseen rows right")
    return report
