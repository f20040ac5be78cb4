"""In which unit a field of a result is counted, by its name: a name has one unit wherever it stands.

A field that is not listed is a plain count, or no number at all. docs/json.md says the same of what commands
print, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHARE: Final = "a number from 0 to 1"
_NAMES: Final[Mapping[str, str]] = {
    "sparks": "amount author_bond balance bond bond_burned bounty burned carried deposit fee floor funds "
    "issued least max_fee min_author_bond min_entry min_opener_bond min_witness_bond minimum opener_bond "
    "paid per_byte per_record pot received reward sent subsidy tip upload_deposit witness_fee",
    "sum over rows, in units of 2^-24 nat": "baseline claimed_loss loss old_loss recomputed_loss sealed_loss "
    "validation_loss",
    "in units of 2^-16 nat": "gained logit logits lost margin neurons_logit neurons_margin",
    "in units of 2^-32 nat^2": "squares",
    "millionths": "lost_cap_ppm lost_ppm points retention_delta_ppm retention_epsilon_ppm threshold_ppm",
    SHARE: "probability",
    "counted from 0": "epoch winner_epoch",
    "multiply-accumulate operations": "macs macs_per_row macs_per_spark max_block_macs max_macs_per_row "
    "max_update_macs",
    "expected hash attempts": "work",
    "hash attempts a second": "hashes_per_s max_hashes_per_s network_hashes_per_s",
    "bytes": "anonymous_bytes block_files_bytes bytes database_bytes free_bytes max_bytes max_update_bytes "
    "parameter_bytes queued_bytes received_bytes resident_bytes rss_bytes sent_bytes sent_tensor_bytes "
    "size_bytes",
    "height of a block": "base committed fork_height from_height height syncing_to to_height",
    "ticks of the round clock": "audit_ended audit_window commit_window confirm_tick dispute_until gap "
    "last_tick open_window opened public_since reveal_ended reveal_window score_window tick ticks ticks_left "
    "update_window window window_left witness_window witnesses_ended",
    "seconds": "age_s ahead_s clock_ahead_s connected_s due_s every_s mean_s retry_s seconds shown_s "
    "uptime_s",
    "milliseconds": "block_time_ms future_limit_ms half_life_ms round_trip_ms",
    "milliseconds since 1970": "genesis_time_ms since_ms time_ms timestamp_ms until_ms",
    "seconds since 1970": "dialled_s reached_s seen_s",
}
UNITS: Final[Mapping[str, str]] = {name: unit for unit, names in _NAMES.items() for name in names.split()}
"""The unit of each field that has one."""
