"""What clients see of a node: JSON-RPC methods, events, and chain objects as JSON."""
