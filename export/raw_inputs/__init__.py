"""Signatures of a bundle that take rows, texts or the next token instead of encoded tensors."""
