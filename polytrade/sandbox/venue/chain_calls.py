"""Contract calls as bytes: what a wallet asks of the chain, read and answered (protocols 10.1)."""

from collections.abc import Iterator
from typing import Final

import attrs

from polytrade.polymarket.signing import keccak256

WORD: Final = 32
MAX_UINT: Final = (1 << 256) - 1
CALLS_MAX: Final = 64
"""Calls in one transaction: all approvals there are, and a merge of twenty markets."""
PUSD: Final = "0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb"


class CallRefused(Exception):
    """The call is none this chain knows; it would revert."""


def selector(signature: str) -> bytes:
    """The first four bytes of a call of a function."""
    return keccak256(signature.encode())[:4]


SPLIT: Final = "split"
MERGE: Final = "merge"
REDEEM: Final = "redeem"
APPROVE: Final = "approve"
TRANSFER: Final = "transfer"
_PROXY: Final = selector("proxy((uint8,address,uint256,bytes)[])")
_MULTISEND: Final = selector("multiSend(bytes)")
_CTF: Final = {
    selector("splitPosition(address,bytes32,bytes32,uint256[],uint256)"): SPLIT,
    selector("mergePositions(address,bytes32,bytes32,uint256[],uint256)"): MERGE,
    selector("redeemPositions(address,bytes32,bytes32,uint256[])"): REDEEM,
}
_ROUTER: Final = {
    selector("split(bytes31,uint256)"): SPLIT,
    selector("merge(bytes31,uint256)"): MERGE,
    selector("redeem(bytes31,uint256,uint256)"): REDEEM,
}
_APPROVE: Final = selector("approve(address,uint256)")
_APPROVE_ALL: Final = selector("setApprovalForAll(address,bool)")
_TRANSFER: Final = selector("transfer(address,uint256)")


@attrs.frozen
class Call:
    """One call: a contract in lower case, and what is sent to it."""

    target: str
    data: bytes
    value: int = 0


@attrs.frozen
class Operation:
    """What a call does. `other` is who is approved or paid, `amount` 1e-6 units or an allowance."""

    kind: str
    target: str
    condition: str = ""
    amount: int = 0
    other: str = ""


def operation(call: Call) -> Operation:
    """What one call does; CallRefused when nothing this chain knows."""
    head, body = call.data[:4], call.data[4:]
    if head in _CTF:
        kind = _CTF[head]
        amount = 0 if kind == REDEEM else number(body, 4)
        return Operation(kind, call.target, "0x" + word(body, 2).hex(), amount)
    if head in _ROUTER:
        condition = "0x" + word(body, 0)[:31].hex() + "00"
        return Operation(_ROUTER[head], call.target, condition, number(body, 1))
    if head in (_APPROVE, _APPROVE_ALL):
        return Operation(APPROVE, call.target, "", number(body, 1), address(body, 0))
    if head == _TRANSFER and call.target == PUSD:
        return Operation(TRANSFER, call.target, "", number(body, 1), address(body, 0))
    raise CallRefused("execution reverted: unknown call")


def proxied(data: bytes) -> list[Call]:
    """The calls in a call of the proxy wallet factory."""
    if data[:4] != _PROXY:
        raise CallRefused("execution reverted: not a call of the proxy factory")
    array = _at(data[4:], number(data[4:], 0))
    count = number(array, 0)
    if count > CALLS_MAX:
        raise CallRefused("execution reverted: too many calls")
    calls: list[Call] = []
    for index in range(count):
        row = _at(array[WORD:], number(array[WORD:], index))
        inner = _bytes(_at(row, number(row, 3)))
        calls.append(Call(address(row, 1), inner, number(row, 2)))
    return calls


def multi_sent(data: bytes) -> list[Call]:
    """The calls in a Safe's multi-send; one call by itself when it is none."""
    if data[:4] != _MULTISEND:
        raise CallRefused("execution reverted: not a multi-send")
    return list(_packed(_bytes(_at(data[4:], number(data[4:], 0)))))


def _packed(data: bytes) -> Iterator[Call]:
    at = 0
    for _ in range(CALLS_MAX):
        if at >= len(data):
            return
        target = "0x" + data[at + 1 : at + 21].hex()
        value = int.from_bytes(data[at + 21 : at + 53], "big")
        size = int.from_bytes(data[at + 53 : at + 85], "big")
        inner = data[at + 85 : at + 85 + size]
        if len(inner) != size:
            raise CallRefused("execution reverted: short multi-send")
        yield Call(target, inner, value)
        at += 85 + size
    if at < len(data):
        raise CallRefused("execution reverted: too many calls")


def word(body: bytes, index: int) -> bytes:
    """A word of the arguments."""
    found = body[index * WORD : (index + 1) * WORD]
    if len(found) != WORD:
        raise CallRefused("execution reverted: short call data")
    return found


def number(body: bytes, index: int) -> int:
    """A word as an unsigned number."""
    return int.from_bytes(word(body, index), "big")


def address(body: bytes, index: int) -> str:
    """A word as an address in lower case."""
    return "0x" + word(body, index)[12:].hex()


def numbers(body: bytes, index: int) -> list[int]:
    """The array of words whose place is in word `index`."""
    array = _at(body, number(body, index))
    count = number(array, 0)
    if count > CALLS_MAX:
        raise CallRefused("execution reverted: too many values")
    return [number(array, 1 + each) for each in range(count)]


def encoded(*values: int) -> str:
    """Numbers as the answer of a call."""
    return "0x" + b"".join(value.to_bytes(WORD, "big") for value in values).hex()


def _at(body: bytes, offset: int) -> bytes:
    if offset >= len(body):
        raise CallRefused("execution reverted: short call data")
    return body[offset:]


def _bytes(body: bytes) -> bytes:
    size = number(body, 0)
    found = body[WORD : WORD + size]
    if len(found) != size:
        raise CallRefused("execution reverted: short call data")
    return found
