"""Leaves of the error tree that only a node can raise: its disk, and the policy of its mempool.

Validity is judged below, in the pure core; nothing here makes a peer's block or transaction invalid.
"""

from __future__ import annotations

from engram.primitives.errors import (
    ChainError,
    Invalid,
    InvalidHeader,
    InvalidInput,
    NotReady,
    StorageError,
)


class SchemaMismatch(StorageError):
    """The data directory was written by another version of Engram: move it away, or reindex with this
    version.
    """

    code = "schema_mismatch"


class CorruptStore(StorageError):
    """The stored data are damaged: stop the node and run `engram db reindex`."""

    code = "corrupt_store"


class DiskFull(StorageError):
    """The disk is full: free some space and start the node again, nothing committed is lost."""

    code = "disk_full"


class ForeignData(StorageError):
    """The data directory belongs to another chain: choose another directory or the chain it was made for."""

    code = "foreign_data"


class DataDirLocked(StorageError):
    """Another process uses this data directory: stop it first, or choose another directory."""

    code = "data_dir_locked"


class DiskFailure(StorageError):
    """The disk refused a read or a write: check its health and permissions, then start the node again."""

    code = "disk_failure"


class InvalidAncestor(InvalidHeader):
    """The block stands on a block that breaks a rule."""

    code = "invalid_ancestor"


class Refused(NotReady):
    """This node's mempool does not take the transaction now; another node may."""

    code = "refused"


class AlreadyPooled(Refused):
    """The transaction already waits in the mempool."""

    code = "already_pooled"


class AlreadyIncluded(Refused):
    """The transaction already stands in a block of the best chain."""

    code = "already_included"


class NonceGap(Refused):
    """The nonce is too far above the account's: send the transactions before it first."""

    code = "nonce_gap"


class ReplacementFee(Refused):
    """A transaction with this nonce waits already; to replace it, pay at least a tenth more."""

    code = "replacement_fee"


class PoolFull(Refused):
    """The mempool is full of transactions that pay more for their weight."""

    code = "pool_full"


class SenderLimit(Refused):
    """The sender has as much waiting as one account may."""

    code = "sender_limit"


class Unaffordable(Refused):
    """The sender's balance does not cover the fees of what he has waiting."""

    code = "unaffordable"


class Replaced(Refused):
    """Its sender sent another transaction with the same nonce and a higher fee."""

    code = "replaced"


class Evicted(Refused):
    """The mempool grew full, and others paid more for their weight."""

    code = "evicted"


class Expired(Refused):
    """No block took the transaction for hours: send it again if it is still wanted."""

    code = "expired"


class ConfigInvalid(InvalidInput):
    """A setting is not one that Engram knows, or not of its type and range."""

    code = "config_invalid"


class ChainExists(InvalidInput):
    """The data directory holds another chain already, and nothing was changed: name another directory."""

    code = "chain_exists"


class ChainNotFound(InvalidInput):
    """The data directory holds no chain: make one with `engram init`."""

    code = "chain_not_found"


class KeyNotFound(InvalidInput):
    """There is no key with this name."""

    code = "key_not_found"


class KeyExists(InvalidInput):
    """A key with this name exists; keys are never overwritten."""

    code = "key_exists"


class KeyNameInvalid(InvalidInput):
    """A key's name is 1 to 64 letters, digits, - and _."""

    code = "key_name_invalid"


class KeyFileInvalid(InvalidInput):
    """The file is not a key file, or it was damaged."""

    code = "key_file_invalid"


class WrongPassphrase(InvalidInput):
    """The passphrase does not open the key file."""

    code = "wrong_passphrase"


class PortTaken(InvalidInput):
    """Another process listens on this port: stop it, or choose another port (0 takes a free one)."""

    code = "port_taken"


class AddressUnusable(InvalidInput):
    """This machine cannot listen on the address: choose one of its own, and a port it may open."""

    code = "address_unusable"


class SpecUnsupported(InvalidInput):
    """The chain allows larger blocks than peers can carry: this version of Engram cannot run it."""

    code = "spec_unsupported"


class BlockNotFound(InvalidInput):
    """The chain has no such block: name one by its height or id."""

    code = "block_not_found"


class TransactionNotFound(InvalidInput):
    """Neither the best chain nor the mempool holds this transaction."""

    code = "transaction_not_found"


class FeaturesInvalid(InvalidInput):
    """A row is as many whole numbers from 0 to 255 as the model has inputs."""

    code = "features_invalid"


class ProofTooLong(InvalidInput):
    """The chain is too long for a bundle from genesis: name a checkpoint that the verifier trusts."""

    code = "proof_too_long"


class MinerAddressMissing(InvalidInput):
    """Rewards need an address to go to: give one, or set miner_address."""

    code = "miner_address_missing"


class MinerChanged(NotReady):
    """The miner was stopped or changed before the blocks were found: ask again."""

    code = "miner_changed"


class BodiesUnavailable(NotReady):
    """No peer that is left gives the blocks of a branch whose headers are here."""

    code = "bodies_unavailable"


class LittleWork(NotReady):
    """A peer's headers go on and on without reaching the work of this node's chain."""

    code = "little_work"


class BlockRefused(Invalid):
    """The block breaks a rule; `got` names the rule's code."""

    code = "block_refused"


class ForeignHeaders(Invalid):
    """The peer's headers do not follow what they were asked to follow."""

    code = "foreign_headers"


class NodeUnreachable(ChainError):
    """No node answers at this address: start one with `engram run`, or name another with --rpc."""

    code = "node_unreachable"


class SubscriberTooSlow(NodeUnreachable):
    """The node ended a stream of events that were not read in time: subscribe again and read faster."""

    code = "subscriber_too_slow"


class RemoteError(ChainError):
    """What a node answered to a request it refused; carries the node's own code."""

    code = "remote_error"

    def __init__(self, message: str, *, code: str, expected: object = None, got: object = None) -> None:
        super().__init__(message, expected=expected, got=got)
        self.code = code


class NodeFailed(ChainError):
    """A node's process did not start, or does not run; the end of its log says why."""

    code = "node_failed"


class WaitTimeout(ChainError):
    """What was waited for on a localnet did not come about in time."""

    code = "wait_timeout"


class LocalnetExists(InvalidInput):
    """The folder holds a localnet already: `engram localnet up` without options starts it again."""

    code = "localnet_exists"


class LocalnetMissing(InvalidInput):
    """The folder holds no localnet: make one with `engram localnet up`."""

    code = "localnet_missing"


class ChainStopped(Exception):
    """The chain's writer has ended; the reason is the exception of `Chain.run`."""
