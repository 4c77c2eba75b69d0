"""Plots of the blocks, drawn from the blocks themselves."""
