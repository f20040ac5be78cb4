"""The POW registry and one file a proof-of-work function. Header bytes in, digest out."""
