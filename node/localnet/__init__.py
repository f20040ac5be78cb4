"""A network of real node processes on this machine, for tests, demonstrations and playing by hand."""
