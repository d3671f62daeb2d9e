"""The producers of a run: feeds, discovery, clock check, wired to the inbox."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from os import environ

import attrs
import httpx2
import structlog

from polytrade.config import Config
from polytrade.lineup import Lineup
from polytrade.polymarket.books import Instruments, RestBookDecoder
from polytrade.polymarket.clob import Clob
from polytrade.polymarket.discovery import GAMMA_SOURCE, Discovery, GammaError, run_clock_check
from polytrade.polymarket.feed import MarketFeed
from polytrade.polymarket.gamma import GammaDecoder
from polytrade.polymarket.rest import Rest
from polytrade.polymarket.wire import MarketDecoder
from polytrade.runtime.budget import Budget
from polytrade.runtime.feeds import (
    feed_policy,
    link_settings,
    plan_feeds,
    run_reference_feed,
)
from polytrade.runtime.hosts import HostTable
from polytrade.runtime.inbox import Clock, Inbox
from polytrade.runtime.links import FeedTable
from polytrade.runtime.plugin_feeds import PluginFeeds, wanted_feeds
from polytrade.runtime.socket import open_socket
from polytrade.runtime.supervise import ESCALATE, Policy, TaskTable

log = structlog.get_logger(__name__)

Run = Callable[[], Awaitable[None]]


@attrs.frozen
class Shared:
    """What every producer uses."""

    clock: Clock
    rng: random.Random
    client: httpx2.AsyncClient
    inbox: Inbox
    tasks: TaskTable
    feeds: FeedTable
    hosts: HostTable


@attrs.frozen(kw_only=True)
class Wiring:
    """The producers by task name, each with what happens when it fails, and what others need."""

    market_feed: MarketFeed
    discovery: Discovery
    decoder: MarketDecoder
    plugin_feeds: PluginFeeds
    producers: dict[str, tuple[Run, Policy]]


def wire(config: Config, shared: Shared, lineup: Lineup, budget: Budget) -> Wiring:
    """Everything that puts market data into the inbox, not running yet.

    The feeds of plugins are those of `lineup`, built for this configuration; `budget` is theirs.
    """
    feeds, instruments = config.feeds, Instruments()
    policy = feed_policy(feeds)
    # What there is only one of is never parked: without it nothing is traded.
    always = attrs.evolve(policy, failures_max=0)
    decoder = MarketDecoder(instruments)
    clob = Clob(
        feeds.clob_url,
        client=shared.client,
        hosts=shared.hosts,
        clock=shared.clock,
        decoder=RestBookDecoder(instruments),
    )
    market_feed = MarketFeed(
        feeds,
        decoder=decoder,
        clob=clob,
        connect=open_socket,
        inbox=shared.inbox,
        tasks=shared.tasks,
        statuses=shared.feeds,
        hosts=shared.hosts,
        policy=always,
        rng=shared.rng,
    )
    discovery = _discovery(config, shared, instruments, market_feed, always)
    producers: dict[str, tuple[Run, Policy]] = {
        "discovery": (discovery.run, always),
        "market feed": (market_feed.run, always),
        "clock check": (partial(run_clock_check, clob, shared.inbox), always),
    }
    plugin_feeds = PluginFeeds(
        feeds,
        connect=open_socket,
        inbox=shared.inbox,
        tasks=shared.tasks,
        statuses=shared.feeds,
        hosts=shared.hosts,
        rng=shared.rng,
        budget=budget,
        first=wanted_feeds(lineup, config),
    )
    producers["plugin feeds"] = (plugin_feeds.run, ESCALATE)
    for name, run in _reference_feeds(config, shared).items():
        producers[name] = (run, policy)
    return Wiring(
        market_feed=market_feed,
        discovery=discovery,
        decoder=decoder,
        plugin_feeds=plugin_feeds,
        producers=producers,
    )


def _discovery(
    config: Config,
    shared: Shared,
    instruments: Instruments,
    market_feed: MarketFeed,
    policy: Policy,
) -> Discovery:
    url = config.feeds.gamma_url
    gamma = Rest(
        url, client=shared.client, hosts=shared.hosts, clock=shared.clock, error=GammaError
    )
    return Discovery(
        config.universe,
        gamma=gamma,
        decoder=GammaDecoder(instruments),
        instruments=instruments,
        inbox=shared.inbox,
        want=market_feed.want,
        status=shared.feeds.open(GAMMA_SOURCE, url),
        policy=policy,
        rng=shared.rng,
    )


def _reference_feeds(config: Config, shared: Shared) -> dict[str, Run]:
    plans, off = plan_feeds(config.feeds, config.universe.coins, environ)
    for source, why in off.items():
        log.info("feed is off", source=source, why=why)
    return {
        plan.source: partial(
            run_reference_feed,
            plan,
            connect=open_socket,
            inbox=shared.inbox,
            settings=link_settings(plan, config.feeds),
            status=shared.feeds.open(plan.source, plan.url),
            hosts=shared.hosts,
        )
        for plan in plans
    }
