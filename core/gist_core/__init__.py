"""Learned context compression for RAG and chat memory: hard token budgets, exact source spans, no download."""

from gist_core.budget import Budget
from gist_core.errors import GistError
from gist_core.loading import load_compressor
from gist_core.passage import Compressed, Passage, ScoredSpan, Span, Usage, render

__all__ = ["Budget", "Compressed", "GistError", "Passage", "ScoredSpan", "Span", "Usage", "load_compressor", "render"]
