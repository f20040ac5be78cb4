"""Imports blocks of transfers with py-evm; it runs in that program's own environment, not in Engram's.

It mines the blocks first. Then, for each line of its input, it imports them into a new chain in memory and
prints the seconds that this took.
"""

import sys
import time
from typing import Any

from eth.chains.base import MiningChain
from eth.consensus.noproof import NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks.berlin import BerlinVM
from eth_keys import keys

ALICE = keys.PrivateKey(b"\x03" * 32)
GAS = 21_000
"""What a transfer costs."""


def main(blocks: int, transfers: int) -> None:
    machine = BerlinVM.configure(consensus_class=NoProofConsensus)
    chain_class = MiningChain.configure(__name__="Anchor", vm_configuration=((0, machine),), chain_id=1)
    header = {
        "coinbase": bytes(20),
        "difficulty": 1,
        "extra_data": b"",
        "gas_limit": transfers * GAS * 2,
        "mix_hash": bytes(32),
        "nonce": bytes(8),
        "timestamp": 1,
    }
    owner = {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}}
    accounts = {ALICE.public_key.to_canonical_address(): owner}

    def new() -> Any:
        return chain_class.from_genesis(AtomicDB(), header, accounts)

    source, mined = new(), []
    for block in range(blocks):
        nonces = range(block * transfers, (block + 1) * transfers)
        drafts = [
            source.create_unsigned_transaction(
                nonce=nonce,
                gas_price=1,
                gas=GAS,
                to=(nonce + 1_000).to_bytes(20, "big"),
                value=5,
                data=b"",
            )
            for nonce in nonces
        ]
        payments = [draft.as_signed_transaction(ALICE) for draft in drafts]
        result, _receipts, _computations = source.mine_all(payments)
        mined.append(result.imported_block)
    for _line in sys.stdin:
        target = new()
        began_s = time.perf_counter()
        for block in mined:
            target.import_block(block)
        print(time.perf_counter() - began_s, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
