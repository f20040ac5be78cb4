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
    """The data directory was written by another version of Engram: start the node once, which brings older
    layouts to the present one, or reindex with this version.
    """


class CorruptStore(StorageError):
    """The stored data are damaged: stop the node and run `engram db reindex`."""


class DamagedBody(CorruptStore):
    """This node's copy of the block is damaged or missing: it is fetched from peers, ask later or ask another
    node.
    """


class DamageFound(ChainError):
    """What this node has stored is damaged."""

    def __str__(self) -> str:
        """The message, and a line for each thing that is damaged."""
        return "\n".join((self.message, *map(str, self.got if isinstance(self.got, tuple) else ())))


class ChainBroken(ChainError):
    """A stored block does not hold: what stands on it is not the chain, whatever this node said before."""


class RebuildWouldLose(ChainError):
    """The block files do not hold all blocks that the database knows, so a rebuilt one would lose some."""


class SpaceMissing(StorageError):
    """The disk has too little free space for this: free some, nothing was changed."""


class DiskFull(StorageError):
    """The disk is full: free some space and start the node again, nothing committed is lost."""


class ForeignData(StorageError):
    """The data directory belongs to another chain: choose another directory or the chain it was made for."""


class DataDirLocked(StorageError):
    """Another process uses this data directory: stop it first, or choose another directory."""


class DiskFailure(StorageError):
    """The disk refused a read or a write: check its health and permissions, then start the node again."""


class InvalidAncestor(InvalidHeader):
    """The block stands on a block that breaks a rule."""


class NotOnBestChain(InvalidInput):
    """The block does not stand on the best chain of this node: name one that does."""


class BlocksCostWork(InvalidInput):
    """Only a chain whose blocks cost no work can be moved so: `engram run --dev` makes one."""


class AdvanceInvalid(InvalidInput):
    """Say by how many blocks, by how many ticks, or to which phase of which round; at most 10,000 blocks are
    made at a time.
    """


class MusterInvalid(InvalidInput):
    """Blocks wait for a number of programs: 0 or more."""


class PhasePassed(InvalidInput):
    """The round has no such phase, or it is over: these are to come."""


class HasPeers(InvalidInput):
    """Peers keep the blocks that would be taken back and would bring them again: disconnect them first, as
    with `engram peer remove`, or run this node with max_peers = 0.
    """


class Refused(NotReady):
    """This node's mempool does not take the transaction now; another node may."""


class Reverted(Refused):
    """The operator has taken this chain back to an earlier block, and what came after is gone."""


class AlreadyPooled(Refused):
    """The transaction already waits in the mempool."""


class AlreadyIncluded(Refused):
    """The transaction already stands in a block of the best chain."""


class NonceGap(Refused):
    """The nonce is too far above the account's: send the transactions with lower nonces first."""


class NonceOccupied(Refused):
    """Another transaction of the sender waits with this nonce: take the next one, or ask to replace it."""


class ReplacementFee(Refused):
    """A transaction with this nonce waits already; to replace it, pay at least a tenth more."""


class PoolFull(Refused):
    """The mempool is full of transactions that pay more for their weight."""


class SenderLimit(Refused):
    """The sender has as many transactions waiting as one account may have."""


class Unaffordable(Refused):
    """The sender's balance does not cover the fees of their waiting transactions."""


class Replaced(Refused):
    """Its sender sent another transaction with the same nonce and a higher fee."""


class Evicted(Refused):
    """The mempool grew full, and others paid more for their weight."""


class Expired(Refused):
    """No block took the transaction for hours: send it again if it is still wanted."""


class NotAFile(InvalidInput):
    """Something else stands where a file of the data directory belongs: move it away."""


class NotAFolder(InvalidInput):
    """Something else stands where a folder of the data directory belongs: move it away."""


class ConfigInvalid(InvalidInput):
    """A setting is not one that Engram knows, or not of its type and range."""


class EngineMissing(InvalidInput):
    """This machine lacks what the engine that the setting names needs: name another one, or auto."""


class EngineInexact(InvalidInput):
    """The engine that the setting names computes other integers on this machine than the chain demands."""


class LogLevelUnknown(InvalidInput):
    """There is no such level of log lines: choose debug, info, warning or error."""


class ChainExists(InvalidInput):
    """The data directory holds another chain already, and nothing was changed: name another directory."""


class ChainNotFound(InvalidInput):
    """The data directory holds no chain: make one with `engram init`."""


class KeyNotFound(InvalidInput):
    """There is no key with this name."""


class KeyExists(InvalidInput):
    """A key with this name exists; keys are never overwritten."""


class KeyNameInvalid(InvalidInput):
    """A key's name is 1 to 64 letters, digits, - and _."""


class KeyFileInvalid(InvalidInput):
    """The file is not a key file, or it was damaged."""


class WrongPassphrase(InvalidInput):
    """The passphrase does not open the key file."""


class PassphraseInvalid(InvalidInput):
    """The passphrase is no text: write it in UTF-8."""


class SealBroken(InvalidInput):
    """The sealed bytes, or what they belong to, are not those that were sealed."""


class PortTaken(InvalidInput):
    """Another process listens on this port: stop it, or choose another port (0 takes a free one)."""


class PortForbidden(InvalidInput):
    """The system does not let this user listen there: choose a port of 1024 or above, or grant the right."""


class AddressUnusable(InvalidInput):
    """This machine cannot listen on the address: choose one of its own, and a port it may open."""


class SpecUnsupported(InvalidInput):
    """The chain allows larger blocks than peers can carry: this version of Engram cannot run it."""


class BlockNotFound(InvalidInput):
    """The chain has no such block: name one by its height or id."""


class TransactionNotFound(InvalidInput):
    """Neither the best chain nor the mempool holds this transaction."""


class ProfileTooLong(InvalidInput):
    """A profile takes 1 to 30 seconds."""


class BeginningInvalid(InvalidInput):
    """Ids are found by their kind, block or transaction, and 4 to 64 hexadecimal digits."""


class TransactionTypeUnknown(InvalidInput):
    """There is no transaction type of this name."""


class FeaturesInvalid(InvalidInput):
    """A row is one whole number from 0 to 255 for each input of the model."""


class ProofTooLong(InvalidInput):
    """The chain is too long for a bundle from genesis: name a checkpoint that the verifier trusts."""


class MinerAddressMissing(InvalidInput):
    """Rewards need an address to go to: give one, or set miner_address."""


class MinerChanged(NotReady):
    """The miner was stopped or changed before the blocks were found: ask again."""


class BlockTooEarly(NotReady):
    """The next block would be too far ahead of this machine's clock, by so many milliseconds: set the clock,
    or wait.
    """


class HoldRefused(NotReady):
    """The blocks of this node wait for no program: only those of a test network do (setting miner_waits)."""


class BeforeSnapshot(NotReady):
    """The block is from before the snapshot with which this node began: ask a node that began at genesis."""


class FileDamaged(InvalidInput):
    """The file is damaged: write it again where it comes from."""


class SnapshotFalse(InvalidInput):
    """The snapshot holds what its headers do not commit to: take one from another node."""


class SnapshotNotAnchored(InvalidInput):
    """Anybody can make such headers: give a --checkpoint or --min-work that you trust."""


class AccountIndexOff(NotReady):
    """This node keeps no index of accounts: set account_index (`engram run --account-index`), start it again,
    and it makes one of all blocks that it has; or ask another node.
    """


class HistoryPageInvalid(InvalidInput):
    """A page of a history has 1 to 1,000 entries, from before HEIGHT, HEIGHT.INDEX or HEIGHT.mined."""


class StatePruned(NotReady):
    """This node no longer keeps the state after that block: ask a node that runs with --archive."""


class FalseContent(Invalid):
    """The peer has given other bytes than those of the content id."""


class BodiesUnavailable(NotReady):
    """None of the remaining peers delivers the blocks of a branch whose headers this node holds."""


class DownloadStalled(NotReady):
    """No block of a branch has come for a while, and another branch waits to be fetched."""


class LittleWork(NotReady):
    """A peer's headers, or a block that nobody asked for, do not reach the work of this node's chain."""


class BlockRefused(Invalid):
    """The block breaks a rule; `got` names the rule's code."""


class ForeignHeaders(Invalid):
    """The peer's headers do not follow what they were asked to follow."""


class BanInvalid(InvalidInput):
    """A ban names a node key (64 hexadecimal digits), an IP address, or a network such as 192.0.2.0/24."""


class TooManyBans(InvalidInput):
    """The list of bans is full: lift some with `engram peer unban`, or ban at the firewall."""


class PeerNotFound(InvalidInput):
    """No connected peer, or more than one, has this id or address: `engram peer list` shows them."""


class NodeUnreachable(ChainError):
    """No node answers at this address: start one with `engram run`, or name another with --rpc."""


class CertificateUntrusted(NodeUnreachable):
    """The certificate of what answers at this address is not trusted: name a file with it, or with that of
    its issuer, in the environment variable SSL_CERT_FILE.
    """


class ForeignAnswer(NodeUnreachable):
    """What answers at this address is no node, or speaks another language: check the address, or name another
    node with --rpc.
    """


class AnswerInvalid(ChainError):
    """The node answers with what no node says: it is broken, hostile or of another version, so ask another
    node.
    """


class SubscriberTooSlow(NodeUnreachable):
    """The node ended a stream of events that were not read in time: subscribe again and read faster."""


class RemoteError(ChainError):
    """What a node answered to a request it refused; carries the node's own code."""

    def __init__(self, message: str, *, code: str, expected: object = None, got: object = None) -> None:
        super().__init__(message, expected=expected, got=got)
        self.code = code


class NodeFailed(ChainError):
    """A node's process did not start, or does not run; the end of its log says why."""


class LocalnetStalled(ChainError):
    """What was waited for on a localnet did not come about in time."""


class LocalnetExists(InvalidInput):
    """The folder holds a localnet already: `engram localnet up` without options starts it again."""


class LocalnetMissing(InvalidInput):
    """The folder holds no localnet: make one with `engram localnet up`."""


class LocalnetIncomplete(InvalidInput):
    """The directory of a node of this localnet is gone: put it back, or delete the network."""


class ChainStopped(Exception):
    """The chain's writer has ended; the reason is the exception of `Chain.run`."""
