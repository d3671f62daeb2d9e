"""The market channel's messages about markets as such (protocols 5.2)."""

from typing import Any

from polytrade.core.units import price_text
from polytrade.sandbox.world.listing import Listing
from polytrade.sandbox.world.topics import Topic


def new_market(topic: Topic, listing: Listing, now_ms: int) -> dict[str, Any]:
    """`new_market`: told of every market when it is listed."""
    rules = listing.rules
    tokens = list(rules.tokens)
    fees = rules.fees
    return {
        "id": str(topic.numbers[listing.slug]),
        "question": listing.question,
        "market": rules.condition,
        "slug": listing.slug,
        "description": topic.description,
        "assets_ids": tokens,
        "outcomes": list(rules.outcomes),
        "event_message": {
            "id": str(topic.number),
            "ticker": topic.slug,
            "slug": topic.slug,
            "title": topic.title,
            "description": topic.description,
        },
        "timestamp": str(now_ms),
        "event_type": "new_market",
        "tags": [tag.label for tag in topic.tags],
        "condition_id": rules.condition,
        "active": True,
        "clob_token_ids": tokens,
        "sports_market_type": "moneyline" if rules.answers_delayed else "",
        "line": "",
        "game_start_time": "",
        "order_price_min_tick_size": price_text(rules.tick_e4),
        "group_item_title": topic.items.get(listing.slug, ""),
        "taker_base_fee": "1000" if fees else "0",
        "fees_enabled": fees is not None,
    }


def resolved(topic: Topic, listing: Listing, now_ms: int) -> dict[str, Any]:
    """`market_resolved`; nobody is named the winner of a 50-50 resolution."""
    rules, winner = listing.rules, listing.winner
    won = winner in (0, 1)
    return {
        "id": str(topic.numbers[listing.slug]),
        "market": rules.condition,
        "assets_ids": list(rules.tokens),
        "winning_asset_id": rules.tokens[winner] if won else "",
        "winning_outcome": rules.outcomes[winner] if won else "",
        "timestamp": str(now_ms),
        "event_type": "market_resolved",
        "tags": [tag.label for tag in topic.tags],
    }
