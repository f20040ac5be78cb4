"""What a node keeps on its disk: keys and records, block files, and the batches that change them."""
