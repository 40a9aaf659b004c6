"""The generative kind: a causal language model writes a gist of each passage, held to the budget and to its source."""
