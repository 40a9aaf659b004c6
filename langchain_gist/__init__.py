"""Gist for LangChain: retrieved documents, compressed around the query within a token budget."""

from langchain_gist.compressor import GistCompressor

__all__ = ["GistCompressor"]
