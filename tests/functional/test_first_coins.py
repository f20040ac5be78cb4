"""A chain on which nobody holds a coin at genesis: its first coins are mined, claimed and spent."""

from dataclasses import replace
from pathlib import Path

from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.threaded import running_node
from engram.participant.rewards import claims_of
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.transfer import Transfer
from tests.support.conservation import check_conservation
from tests.support.dev_node import SEEDS, address_of, dev_spec
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, running

EMPTY = replace(SPEC, allocations=())
FLOOR = EMPTY.rules.fees.floor
"""What a transfer and a claim of one height are charged, without a tip."""


async def test_the_first_coins_are_mined_claimed_and_spent(tmp_path: Path) -> None:
    spec = replace(dev_spec(), allocations=())
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, spec):
        info = find_run_info(tmp_path)
        assert info is not None
        async with RpcClient.of_data_dir(info.rpc_url, tmp_path) as client:
            wallet = Wallet(client, PrivateKey.from_seed(SEEDS["miner"]))
            await client.call("miner_mine", blocks=1 + spec.rules.maturity_blocks)
            account = await wallet.account()
            heights = [reward["height"] for reward in account["maturing"] if reward["mature"]]
            assert (account["balance"], account["nonce"], bool(heights)) == (0, 0, True)
            (claim,) = claims_of(heights)
            claimed = await wallet.send(claim)
            spent = await wallet.transfer(address_of("bob"), 5, max_fee=20_000, tip=60)
            receipt = await wallet.confirm(claimed)
            await wallet.confirm(spent)
            brought = sum(r["amount"] for r in account["maturing"] if r["height"] in heights)
            assert (await wallet.account())["balance"] == brought - receipt["fee"] - FLOOR - 60 - 5
            assert (await Wallet(client, PrivateKey.from_seed(SEEDS["bob"])).account())["balance"] == 5


def branch_with_a_reward() -> tuple[MemoryChain, int]:
    """A chain without coins at genesis on which Alice's reward is mature in the next block; its height."""
    branch = MemoryChain(EMPTY)
    branch.mine(miner=ALICE.address)
    height = branch.height + EMPTY.rules.maturity_blocks
    while branch.height + 1 < height:
        branch.mine()
    return branch, height


async def test_a_claim_waits_with_what_it_pays_for() -> None:
    branch, height = branch_with_a_reward()
    claim = branch.sign(ALICE, ClaimRewards(height, height), max_fee=20_000)
    left = EMPTY.rules.subsidy - FLOOR - 1
    spend = branch.sign(ALICE, Transfer(BOB.address, 1), nonce=1, max_fee=10 * left, tip=left - FLOOR)
    greedy = branch.sign(ALICE, Transfer(BOB.address, 1), nonce=2, max_fee=20_000)
    async with running(spec=EMPTY) as node:
        await node.take(*branch.blocks[1:])
        assert (await node.mempool.admit(spend)).code == "unaffordable"
        assert (await node.mempool.admit(claim)).accepted
        assert (await node.mempool.admit(spend)).accepted, "the claim before it brings its fee"
        assert (await node.mempool.admit(greedy)).code == "unaffordable"
        assert node.mempool.candidates() == [claim, spend]


async def test_a_claim_that_no_block_holds_does_not_wait() -> None:
    branch, height = branch_with_a_reward()
    subsidy = EMPTY.rules.subsidy
    async with running(spec=EMPTY) as node:
        await node.take(*branch.blocks[1:])
        for sender, first, last, tip in (
            (CAROL, height, height, 0),  # nothing is hers
            (ALICE, height - 1, height, 0),  # the reward at the first height must pay
            (ALICE, height, height, subsidy + 1 - FLOOR),
        ):
            claim = branch.sign(sender, ClaimRewards(first, last), max_fee=10 * subsidy, tip=tip)
            assert (await node.mempool.admit(claim)).code == "insufficient_balance"
            assert branch.template([claim]).skipped
        early = branch.sign(ALICE, ClaimRewards(height, height + 1), max_fee=20_000)
        assert (await node.mempool.admit(early)).code == "claim_range_invalid"
        assert node.mempool.entries() == []


def test_a_reward_may_be_spent_on_its_claim_to_the_last_spark() -> None:
    branch, height = branch_with_a_reward()
    subsidy = EMPTY.rules.subsidy
    branch.mine([branch.sign(ALICE, ClaimRewards(height, height), max_fee=subsidy, tip=subsidy - FLOOR)])
    account = branch.state.account(ALICE.address)
    assert (account.balance, account.nonce) == (0, 1)
    check_conservation(branch, branch.tip.state_root)
