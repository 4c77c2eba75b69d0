"""What a block is: its formula, code, source and plot, read from the block itself."""
