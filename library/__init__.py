"""What Python programs use: networks as numpy functions, and the chain with its models and rounds."""
