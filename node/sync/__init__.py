"""Catching up with peers that have more work: headers first, then bodies."""
