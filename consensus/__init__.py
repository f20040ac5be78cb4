"""Headers, blocks, work, validity and fork choice as pure functions. No storage, no clock, no peers."""
