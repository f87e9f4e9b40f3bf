"""Pads for numbered people, all grown from one secret, each of which can be destroyed alone.

The numbers are the leaves of a tree with four branches at every fork. A node's secret gives its children's by a
keyed hash and tells nothing of its parent or siblings. To destroy one leaf, the node above it is replaced by the
siblings along the way down: every other leaf still grows from what is kept, this one from nothing. (The
puncturable pseudorandom function of Goldreich, Goldwasser and Micali, https://doi.org/10.1145/6490.6503.)

What has to be kept grows with the number of people destroyed, not with the number of people.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

SECRET_BYTES = 32
NUMBERS = 1 << 40
"""More than there will ever be people; the size of the root."""

_BITS = 2
_BRANCHES = (b"\0", b"\1", b"\2", b"\3")
"""Two branches make the file a third smaller and the way down twice as long."""


class Node(NamedTuple):
    """The secret of the numbers from `first` on, `size` of them: a power of four, which `first` is a multiple of."""

    first: int
    size: int
    secret: bytes


def within(node: Node, number: int, size: int = 1) -> Node:
    """The node of `size` that `number` belongs to, or `node` if that is smaller. The secret of size 1 is the pad."""
    if node.size <= size:
        return node
    shift, secret = node.size.bit_length() - 1, node.secret
    while (1 << shift) > size:
        shift -= _BITS
        secret = blake2b(_BRANCHES[number >> shift & 3], key=secret, digest_size=SECRET_BYTES).digest()
    return Node(number >> shift << shift, 1 << shift, secret)


def without(node: Node, number: int) -> Iterator[Node]:
    """What to keep instead of `node` so that everything grows but the pad of `number`."""
    while node.size > 1:
        size = node.size >> _BITS
        for first in range(node.first, node.first + node.size, size):
            if not first <= number < first + size:
                yield within(node, first, size)
        node = within(node, number, size)
