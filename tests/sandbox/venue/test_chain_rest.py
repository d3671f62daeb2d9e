"""The chain seen by the official client: its payloads, signatures and calls are the oracle."""

import json
from typing import Any

import pytest
from eth_account import Account
from polymarket._internal.actions.relayer import calls as official
from polymarket._internal.actions.relayer.gasless import (
    build_deposit_wallet_payload,
    build_proxy_payload,
    build_safe_payload,
)
from polymarket._internal.actions.relayer.signing.deposit_wallet import sign_deposit_wallet_batch
from polymarket._internal.actions.relayer.signing.proxy import (
    build_proxy_transaction_hash,
    sign_proxy_message,
)
from polymarket._internal.actions.relayer.signing.safe import sign_safe_transaction
from polymarket._internal.actions.relayer.submit import onchain_nonce_from_submit_error
from polymarket.environments import PRODUCTION
from polymarket.errors import RequestRejectedError
from polymarket.models.clob.relayer import (
    GaslessTransaction,
    RelayerDeployedResponse,
    RelayerExecuteParams,
    RelayerExecuteResponse,
)

from polytrade.core.units import SECOND_NS
from polytrade.sandbox.venue.chain import Chain
from polytrade.sandbox.venue.chain_rest import chain_app
from polytrade.sandbox.venue.wallets import wallets_of
from tests.sandbox.world.test_gamma_objects import START_S, World

CONFIG = PRODUCTION._config
KEY = "0x" + "17" * 32
OTHER_KEY = "0x" + "18" * 32
CASH_E6 = 100_000_000


class Venue:
    """As much of a venue as its chain needs, and a signer with funded wallets."""

    def __init__(self) -> None:
        self.world = World()
        self.schedule, self.bank = self.world.schedule, self.world.bank
        self.calendar = self.world.calendar
        self.wait_ns = 0
        self.chain = Chain(self)  # type: ignore[arg-type]
        app: Any = chain_app(self)  # type: ignore[arg-type]
        self.client = app.test_client()
        self.signer = Account.from_key(KEY)
        self.eoa, self.proxy, self.safe, self.deposit, self.first = (
            address for _, address in wallets_of(self.signer.address)
        )
        for wallet in (self.eoa, self.proxy, self.safe, self.deposit):
            self.bank.fund(wallet.lower(), CASH_E6)
        self.rules = self.world.running("5m").rules
        self.rules_v2 = self.world.running("1d").rules

    def catch_up(self) -> None:
        self.schedule.run_until(START_S * SECOND_NS + self.wait_ns)

    def now_s(self) -> int:
        return self.schedule.now_ns // SECOND_NS

    def pass_s(self, seconds: int) -> None:
        self.wait_ns += seconds * SECOND_NS
        self.catch_up()

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        answer = await self.client.get(path, query_string=params)
        assert answer.status_code == status
        return json.loads(await answer.get_data())

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = await self.client.post(path, json=body)
        text = await answer.get_data()
        assert answer.status_code == status, text
        return json.loads(text)

    async def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
        answer = await self.post("/", body)
        assert answer["id"] == 7
        return answer.get("result", answer.get("error"))

    async def call(self, call: Any) -> Any:
        return await self.rpc("eth_call", {"to": str(call.to), "data": call.data}, "latest")

    async def submit(self, payload: Any) -> str:
        """Submit and wait; the state it ended in."""
        sent = RelayerExecuteResponse.parse_response(await self.post("/submit", payload))
        path = f"/v1/account/transactions/{sent.transaction_id}"
        waiting = GaslessTransaction.parse_response(await self.get(path))
        assert waiting.state.value == "STATE_NEW"
        self.pass_s(2)
        done = GaslessTransaction.parse_response(await self.get(path))
        assert done.transaction_hash == sent.transaction_hash
        return done.state.value

    async def nonce(self, kind: str, path: str = "/v1/account/transactions/params") -> Any:
        answer = await self.get(path, address=self.signer.address, type=kind)
        return RelayerExecuteParams.parse_response(answer)

    def deposit_payload(self, calls: Any, nonce: str, key: str = KEY, late: int = 600) -> Any:
        deadline = str(self.now_s() + late)
        wallet: Any = self.deposit
        signature = sign_deposit_wallet_batch(
            Account.from_key(key),
            wallet=wallet,
            calls=calls,
            nonce=nonce,
            deadline=deadline,
            chain_id=137,
        )
        return build_deposit_wallet_payload(
            signer_address=self.signer.address,
            deposit_wallet_factory=CONFIG.wallet_derivation.deposit_wallet_factory,
            wallet=wallet,
            calls=calls,
            nonce=nonce,
            deadline=deadline,
            signature=signature,
            metadata="",
        )

    def proxy_payload(self, calls: Any, params: Any) -> Any:
        to: Any = CONFIG.wallet_derivation.proxy_factory
        hub: Any = CONFIG.relay_hub
        signer: Any = self.signer.address
        wallet: Any = self.proxy
        data = official.encode_proxy_call(calls)
        digest = build_proxy_transaction_hash(
            from_address=signer,
            to=to,
            data=data,
            relayer_fee="0",
            gas_price="0",
            gas_limit="200000",
            nonce=params.nonce,
            relay_hub=hub,
            relay=params.address,
        )
        return build_proxy_payload(
            signer_address=signer,
            proxy_factory=to,
            wallet=wallet,
            data=data,
            nonce=params.nonce,
            signature=sign_proxy_message(self.signer, digest),
            gas_limit="200000",
            relay=params.address,
            relay_hub=hub,
            metadata="",
        )

    def safe_payload(self, target: Any, data: Any, operation: int, nonce: str) -> Any:
        wallet: Any = self.safe
        signature = sign_safe_transaction(
            self.signer,
            safe_address=wallet,
            to=target,
            data=data,
            value=0,
            operation=operation,
            nonce=nonce,
            chain_id=137,
        )
        return build_safe_payload(
            signer_address=self.signer.address,
            wallet=wallet,
            target=target,
            data=data,
            value=0,
            operation=operation,
            nonce=nonce,
            signature=signature,
            metadata="",
        )

    def split(self, amount: int = 10_000_000) -> Any:
        target: Any = CONFIG.collateral_adapter
        collateral: Any = CONFIG.collateral_token
        return official.ctf_split_position_call(
            target=target,
            collateral=collateral,
            condition_id=self.rules.condition,
            amount=amount,
        )

    def merge(self, amount: int) -> Any:
        target: Any = CONFIG.collateral_adapter
        collateral: Any = CONFIG.collateral_token
        return official.ctf_merge_positions_call(
            target=target,
            collateral=collateral,
            condition_id=self.rules.condition,
            amount=amount,
        )

    def held(self, wallet: str, rules: Any) -> list[int]:
        return [self.bank.shares_e6(wallet.lower(), token) for token in rules.tokens]


@pytest.fixture
def venue() -> Venue:
    return Venue()


async def test_a_deposit_wallet_is_deployed_when_asked_for(venue: Venue) -> None:
    async def deployed(wallet: str, kind: str) -> bool:
        answer = await venue.get("/deployed", address=wallet, type=kind)
        return RelayerDeployedResponse.parse_response(answer).deployed

    assert not await deployed(venue.deposit, "WALLET")
    assert await deployed(venue.proxy, "PROXY") and await deployed(venue.safe, "SAFE")
    payload = {"type": "WALLET-CREATE", "from": venue.signer.address, "to": "0x", "metadata": ""}
    assert await venue.submit(payload) == "STATE_CONFIRMED"
    assert await deployed(venue.deposit, "WALLET")
    assert not await deployed(venue.first, "WALLET")
    assert await venue.rpc("eth_getCode", venue.deposit, "latest") != "0x"


async def test_a_deposit_wallet_splits_and_merges_in_one_batch(venue: Venue) -> None:
    nonce = (await venue.nonce("WALLET")).nonce
    payload = venue.deposit_payload([venue.split(10_000_000), venue.merge(4_000_000)], nonce)
    assert await venue.submit(payload) == "STATE_CONFIRMED"
    assert venue.held(venue.deposit, venue.rules) == [6_000_000, 6_000_000]
    assert venue.bank.cash_e6(venue.deposit.lower()) == CASH_E6 - 6_000_000
    assert (await venue.nonce("WALLET")).nonce == "1"


async def test_a_proxy_wallet_splits_on_both_protocols(venue: Venue) -> None:
    router: Any = CONFIG.protocol_v2_router
    second = official.router_split_call(
        router=router, condition_id=venue.rules_v2.condition, amount=3_000_000
    )
    params = await venue.nonce("PROXY", "/relay-payload")
    state = await venue.submit(venue.proxy_payload([venue.split(), second], params))
    assert state == "STATE_CONFIRMED"
    assert venue.held(venue.proxy, venue.rules) == [10_000_000, 10_000_000]
    assert venue.held(venue.proxy, venue.rules_v2) == [3_000_000, 3_000_000]


async def test_a_safe_sends_one_call_or_several(venue: Venue) -> None:
    call = venue.split()
    nonce = (await venue.nonce("SAFE")).nonce
    assert await venue.submit(venue.safe_payload(call.to, call.data, 0, nonce)) == "STATE_CONFIRMED"
    data = official.encode_safe_multisend_call([venue.split(1_000_000), venue.merge(2_000_000)])
    payload = venue.safe_payload(CONFIG.safe_multisend, data, 1, "1")
    assert await venue.submit(payload) == "STATE_CONFIRMED"
    assert venue.held(venue.safe, venue.rules) == [9_000_000, 9_000_000]


async def test_an_eoa_sends_its_own_transactions(venue: Venue) -> None:
    call = venue.split()
    nonce = int(await venue.rpc("eth_getTransactionCount", venue.eoa, "pending"), 16)
    transaction = {
        "to": str(call.to),
        "value": 0,
        "data": call.data,
        "gas": int(await venue.rpc("eth_estimateGas", {}), 16),
        "gasPrice": int(await venue.rpc("eth_gasPrice"), 16),
        "nonce": nonce,
        "chainId": int(await venue.rpc("eth_chainId"), 16),
    }
    signed = venue.signer.sign_transaction(transaction)
    raw = "0x" + signed.raw_transaction.hex().removeprefix("0x")
    digest = await venue.rpc("eth_sendRawTransaction", raw)
    assert digest == "0x" + signed.hash.hex().removeprefix("0x")
    assert await venue.rpc("eth_getTransactionReceipt", digest) is None
    again = await venue.rpc("eth_sendRawTransaction", raw)
    assert again["message"].startswith("nonce too low")
    venue.pass_s(2)
    assert (await venue.rpc("eth_getTransactionReceipt", digest))["status"] == "0x1"
    assert venue.held(venue.eoa, venue.rules) == [10_000_000, 10_000_000]


async def test_winnings_are_redeemed_on_both_protocols(venue: Venue) -> None:
    for rules, amount in ((venue.rules, 5_000_000), (venue.rules_v2, 7_000_000)):
        venue.bank.split(venue.deposit.lower(), rules, amount)
    target: Any = CONFIG.collateral_adapter
    collateral: Any = CONFIG.collateral_token
    router: Any = CONFIG.protocol_v2_router
    redeem = official.ctf_redeem_positions_call(
        ctf=target, collateral=collateral, condition_id=venue.rules.condition
    )
    payload = venue.deposit_payload([redeem], "0")
    assert await venue.submit(payload) == "STATE_FAILED"
    for rules in (venue.rules, venue.rules_v2):
        venue.world.exchange.resolve(rules.condition, (1_000_000, 0))
    both = [
        redeem,
        *(
            official.router_redeem_call(
                router=router,
                condition_id=venue.rules_v2.condition,
                outcome_index=index,
                amount=7_000_000,
            )
            for index in (0, 1)
        ),
    ]
    assert await venue.submit(venue.deposit_payload(both, "1")) == "STATE_CONFIRMED"
    assert venue.bank.cash_e6(venue.deposit.lower()) == CASH_E6
    assert venue.held(venue.deposit, venue.rules) == [0, 0]


async def test_a_batch_that_fails_changes_nothing(venue: Venue) -> None:
    payload = venue.deposit_payload([venue.split(10_000_000), venue.split(99_000_000)], "0")
    assert await venue.submit(payload) == "STATE_FAILED"
    assert venue.bank.cash_e6(venue.deposit.lower()) == CASH_E6
    assert venue.held(venue.deposit, venue.rules) == [0, 0]


async def test_a_foreign_signature_moves_nothing(venue: Venue) -> None:
    payload = venue.deposit_payload([venue.split()], "0", key=OTHER_KEY)
    assert await venue.post("/submit", payload, 400) == {"error": "invalid signature"}
    honest = venue.deposit_payload([venue.split()], "0")
    honest["depositWalletParams"]["calls"][0]["data"] = venue.split(50_000_000).data
    assert await venue.post("/submit", honest, 400) == {"error": "invalid signature"}
    stranger = {**venue.deposit_payload([venue.split()], "0"), "from": Account.create().address}
    assert "does not belong" in (await venue.post("/submit", stranger, 400))["error"]
    late = venue.deposit_payload([venue.split()], "0", late=-1)
    assert await venue.post("/submit", late, 400) == {"error": "deadline has passed"}


async def test_an_old_nonce_is_answered_so_that_the_client_signs_again(venue: Venue) -> None:
    await venue.submit(venue.deposit_payload([venue.split()], "0"))
    answer = await venue.post("/submit", venue.deposit_payload([venue.split()], "0"), 400)
    error = RequestRejectedError(answer["error"], status=400)
    assert onchain_nonce_from_submit_error(error) == "1"


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"type": "NOTHING"},
        {"type": "WALLET"},
        {"type": "PROXY", "from": "0x12"},
        {"type": "SAFE", "from": "0x" + "11" * 20, "nonce": "x", "signature": "0x"},
    ],
)
async def test_payloads_of_another_shape_are_400(venue: Venue, body: Any) -> None:
    assert "error" in await venue.post("/submit", body, 400)


async def test_wallets_have_approved_everything_until_they_revoke(venue: Venue) -> None:
    token: Any = CONFIG.collateral_token
    spender: Any = CONFIG.standard_exchange
    owner: Any = venue.deposit
    ctf: Any = CONFIG.conditional_tokens
    check = official.erc20_allowance_call(token_address=token, owner=owner, spender=spender)
    allowed = official.decode_erc20_allowance_result(await venue.call(check))
    assert allowed == official.MAX_UINT256
    every = official.erc1155_is_approved_for_all_call(
        token_address=ctf, owner=owner, operator=spender
    )
    assert official.decode_erc1155_is_approved_for_all_result(await venue.call(every))
    calls = [
        official.erc20_approval_call(token_address=token, spender=spender, amount=5),
        official.erc1155_set_approval_for_all_call(
            token_address=ctf, operator=spender, approved=False
        ),
    ]
    assert await venue.submit(venue.deposit_payload(calls, "0")) == "STATE_CONFIRMED"
    assert official.decode_erc20_allowance_result(await venue.call(check)) == 5
    assert not official.decode_erc1155_is_approved_for_all_result(await venue.call(every))


async def test_balances_are_read_from_the_bank(venue: Venue) -> None:
    venue.bank.split(venue.deposit.lower(), venue.rules, 5_000_000)
    ctf: Any = CONFIG.conditional_tokens
    owner: Any = venue.deposit
    call = official.erc1155_balance_of_batch_call(
        token_address=ctf, owners=[owner, owner], token_ids=list(venue.rules.tokens)
    )
    both = official.decode_erc1155_balance_of_batch_result(await venue.call(call))
    assert both == (5_000_000, 5_000_000)
    one = official.erc1155_balance_of_call(
        token_address=ctf, owner=owner, token_id=venue.rules.tokens[0]
    )
    assert official.decode_erc1155_balance_of_result(await venue.call(one)) == 5_000_000
    cash = "0x70a08231" + owner[2:].lower().rjust(64, "0")
    answer = await venue.rpc("eth_call", {"to": CONFIG.collateral_token, "data": cash}, "latest")
    assert int(answer, 16) == CASH_E6 - 5_000_000


async def test_pusd_is_sent_from_wallet_to_wallet(venue: Venue) -> None:
    token: Any = CONFIG.collateral_token
    to: Any = venue.safe
    call = official.erc20_transfer_call(token_address=token, recipient=to, amount=1_000_000)
    total = venue.bank.cash_total_e6()
    assert await venue.submit(venue.deposit_payload([call], "0")) == "STATE_CONFIRMED"
    assert venue.bank.cash_e6(venue.safe.lower()) == CASH_E6 + 1_000_000
    assert venue.bank.cash_total_e6() == total


async def test_the_node_answers_batches_and_says_what_it_does_not_know(venue: Venue) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": 2, "method": "eth_mine", "params": []},
        {"jsonrpc": "2.0", "id": 3, "method": "eth_call", "params": [{"to": "0x1", "data": "0x1"}]},
        "nonsense",
    ]
    answers = await venue.post("/", batch)
    assert answers[0]["result"] == "0x89"
    assert [a["error"]["code"] for a in answers[1:]] == [-32_601, -32_602, -32_600]
    beacon = await venue.rpc(
        "eth_call",
        {"to": CONFIG.wallet_derivation.deposit_wallet_factory, "data": "0x49493a4d"},
        "latest",
    )
    assert beacon[-40:] == CONFIG.wallet_derivation.deposit_wallet_beacon[2:].lower()
    reverted = await venue.rpc("eth_call", {"to": venue.eoa, "data": "0x12345678"}, "latest")
    assert reverted == {"code": 3, "message": "execution reverted"}
    block = await venue.rpc("eth_getBlockByNumber", "latest", False)
    assert int(block["timestamp"], 16) == START_S
