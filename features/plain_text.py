"""Proofs about the text of a whole batch of JSON objects at once: a few passes over its bytes."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

__all__ = ["is_plain"]

QUOTE, COLON, SPACE, BACKSLASH, DELETE = b'": \\\x7f'
BEFORE_C1 = 0xC2  # the first byte of U+0080 to U+00BF, of which half are control characters


def is_plain(texts: Sequence[bytes], names: int) -> bool:
    r"""Whether valid objects hold just `names` names together, no escape and no control character.

    Without escapes and without a space before a colon, every name ends in `":` and nothing else
    does. Where the caller knows of `names` different names, none can be null or stand twice. False
    says nothing: some text may be odd, and has to be looked at by itself.
    """
    joined = b"\n".join(texts)
    arrow = pa.Array.from_buffers(pa.uint8(), len(joined), [None, pa.py_buffer(joined)])
    at = pl.Series(arrow)
    is_colon = at.shift(-1) == COLON
    odd = (at == BACKSLASH) | (at == DELETE) | (at == BEFORE_C1) | ((at == SPACE) & is_colon)
    return (
        not odd.any()
        and (at < SPACE).sum() == len(texts) - 1
        and ((at == QUOTE) & is_colon).sum() == names
    )
