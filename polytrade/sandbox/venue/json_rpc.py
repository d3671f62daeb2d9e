"""The JSON-RPC of a node, as far as wallets of the venue need one."""

from typing import TYPE_CHECKING, Any, Final

from polytrade.polymarket.signing import POLYGON
from polytrade.sandbox.venue.chain import CONFIRMED, NEW, Chain
from polytrade.sandbox.venue.chain_calls import (
    PUSD,
    Call,
    CallRefused,
    address,
    encoded,
    number,
    numbers,
    operation,
    selector,
)
from polytrade.sandbox.venue.chain_signatures import raw_transaction

if TYPE_CHECKING:
    from polytrade.sandbox.venue.local import LocalVenue

BATCH_MAX: Final = 100
"""Requests in one post: checks of all approvals are seventeen."""
BEACON: Final = 0x7A18EDFE055488A3128F01F563E5B479D92FFC3A
GAS: Final = 200_000
GAS_PRICE: Final = 30_000_000_000
BLOCK_S: Final = 2
BALANCE: Final = 10**18
"""Every account has 1 POL for gas; nothing is charged."""
_REVERTED: Final = 3
_INVALID: Final = -32_602
_UNKNOWN: Final = -32_601
_BAD_REQUEST: Final = -32_600
_BEACON: Final = bytes.fromhex("49493a4d")
"""How the official client asks the deposit wallet factory for its beacon."""
_ALLOWANCE: Final = selector("allowance(address,address)")
_APPROVED_ALL: Final = selector("isApprovedForAll(address,address)")
_CASH: Final = selector("balanceOf(address)")
_SHARES: Final = selector("balanceOf(address,uint256)")
_SHARES_BATCH: Final = selector("balanceOfBatch(address[],uint256[])")
_DECIMALS: Final = selector("decimals()")


class RpcRefused(Exception):
    """An error answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Node:
    """Answers JSON-RPC requests from the chain and the bank of a venue."""

    def __init__(self, venue: "LocalVenue", chain: Chain) -> None:
        self._venue = venue
        self._chain = chain

    def answer(self, body: object) -> object:
        """The answer to a request or a batch of them."""
        if isinstance(body, list) and 0 < len(body) <= BATCH_MAX:
            return [self._one(each) for each in body]
        return self._one(body)

    def _one(self, body: object) -> dict[str, Any]:
        envelope: dict[str, Any] = {"jsonrpc": "2.0", "id": None}
        try:
            if not isinstance(body, dict) or not isinstance(body.get("method"), str):
                raise RpcRefused(_BAD_REQUEST, "invalid request")
            envelope["id"] = body.get("id")
            envelope["result"] = self._call(body["method"], body.get("params") or [])
        except RpcRefused as refused:
            envelope["error"] = {"code": refused.code, "message": str(refused)}
        except CallRefused as refused:
            envelope["error"] = {"code": _REVERTED, "message": str(refused)}
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            envelope["error"] = {"code": _INVALID, "message": f"invalid params: {error}"}
        return envelope

    def _call(self, method: str, params: Any) -> object:
        match method:
            case "eth_chainId":
                return hex(POLYGON)
            case "net_version":
                return str(POLYGON)
            case "eth_blockNumber":
                return hex(self._block())
            case "eth_getBlockByNumber":
                return {"number": hex(self._block()), "timestamp": hex(self._venue.now_s())}
            case "eth_gasPrice":
                return hex(GAS_PRICE)
            case "eth_estimateGas":
                return hex(GAS)
            case "eth_getBalance":
                return hex(BALANCE)
            case "eth_getCode":
                return self._code(params[0].lower())
            case "eth_getTransactionCount":
                return hex(self._chain.nonce(params[0].lower()))
            case "eth_call":
                return self._read(params[0]["to"].lower(), params[0]["data"])
            case "eth_sendRawTransaction":
                return self._send(params[0])
            case "eth_getTransactionReceipt":
                return self._receipt(params[0])
        raise RpcRefused(_UNKNOWN, f"the method {method:.60} does not exist/is not available")

    def _block(self) -> int:
        return self._venue.now_s() // BLOCK_S

    def _code(self, wallet: str) -> str:
        return "0x01" if self._chain.deployed(wallet) else "0x"

    def _read(self, target: str, text: str) -> str:
        data = bytes.fromhex(text.removeprefix("0x"))
        head, body, bank = data[:4], data[4:], self._venue.bank
        if head == _BEACON:
            return encoded(BEACON)
        if head == _ALLOWANCE:
            return encoded(self._chain.allowance(target, address(body, 0), address(body, 1)))
        if head == _APPROVED_ALL:
            allowed = self._chain.allowance(target, address(body, 0), address(body, 1))
            return encoded(int(allowed > 0))
        if head == _CASH and target == PUSD:
            return encoded(bank.cash_e6(address(body, 0)))
        if head == _SHARES:
            return encoded(bank.shares_e6(address(body, 0), str(number(body, 1))))
        if head == _SHARES_BATCH:
            owners, tokens = numbers(body, 0), numbers(body, 1)
            held = [
                bank.shares_e6(f"0x{owner:040x}", str(token))
                for owner, token in zip(owners, tokens, strict=True)
            ]
            return encoded(32, len(held), *held)
        if head == _DECIMALS and target == PUSD:
            return encoded(6)
        raise CallRefused("execution reverted")

    def _send(self, text: str) -> str:
        sent = raw_transaction(bytes.fromhex(text.removeprefix("0x")))
        account = sent.sender.lower()
        expected = self._chain.nonce(account)
        if sent.nonce != expected:
            what = "low" if sent.nonce < expected else "high"
            raise RpcRefused(
                -32_000, f"nonce too {what}: next nonce {expected}, tx nonce {sent.nonce}"
            )
        operation(sent.call)
        call = Call(sent.call.target, sent.call.data)
        return self._chain.send(account, account, [call], sent.digest).hash

    def _receipt(self, digest: str) -> object:
        sent = self._chain.transaction(digest)
        if sent is None or sent.state == NEW:
            return None
        return {
            "transactionHash": sent.hash,
            "blockNumber": hex(self._block()),
            "status": "0x1" if sent.state == CONFIRMED else "0x0",
            "logs": [],
        }
