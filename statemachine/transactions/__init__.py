"""The TX_TYPES registry and one file a transaction type. Each checks, costs and applies itself."""
