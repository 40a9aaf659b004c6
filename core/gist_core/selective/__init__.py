"""The selective kind: an encoder scores the units of a text, the best are kept as they stand."""
