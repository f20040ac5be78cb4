"""Networks in exact integers: shapes and numbers only. Knows nothing of accounts, blocks or peers."""
