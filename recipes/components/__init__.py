"""Parts of one recipe that are fitted to its training data and are not blocks."""
