"""A small causal language model from scratch: teacher, generator and writer where no hub can be reached.

corpus.py     texts from files or records, and their fixed split
bpe.py        a byte-level tokenizer trained on them
windows.py    token ids packed into windows of one length
model.py      a Llama of a given size
muon.py       an optimiser for matrices; optimizers.py puts it beside AdamW
recipe.py     ``gist train lm``: the loop, resuming, logging
"""
