"""Block templates, the search for a nonce, and the operator's hand on both."""
