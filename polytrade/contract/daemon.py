"""Contract rows: the daemon itself."""

from typing import Final

from polytrade.contract.rows import COUNTER, GAUGE, Metric

DAEMON: Final = (
    Metric("build_info", GAUGE, "1", "Version and mode; always 1", ("version", "mode")),
    Metric("uptime_seconds", GAUGE, "s", "Time since the start"),
    Metric("ready", GAUGE, "bool", "First book and first reference seen"),
    Metric("paused", GAUGE, "bool", "Quoting paused by the operator"),
    Metric("engine_mode", GAUGE, "bool", "1 for the engine's present mode", ("mode",)),
    Metric("task_running", GAUGE, "bool", "Supervised task runs", ("task",)),
    Metric("task_restarts_total", COUNTER, "restarts", "Restarts of a task", ("task",)),
    Metric("feed_connected", GAUGE, "bool", "Feed connected and subscribed", ("feed",)),
    Metric("feed_stale", GAUGE, "bool", "Feed silent beyond its limit", ("feed",)),
    Metric("feed_last_message_age_ms", GAUGE, "ms", "Age of the last message", ("feed",)),
    Metric("feed_rate", GAUGE, "messages/s", "Messages a second", ("feed",)),
    Metric("feed_messages_total", COUNTER, "messages", "Messages received", ("feed",)),
    Metric("feed_malformed_total", COUNTER, "messages", "Messages not understood", ("feed",)),
    Metric("feed_reconnects_total", COUNTER, "connections", "Connections lost", ("feed",)),
    Metric("host_reachable", GAUGE, "bool", "Last attempt on the host succeeded", ("host",)),
    Metric("queue_depth", GAUGE, "items", "Items waiting", ("queue",)),
    Metric("queue_depth_peak", GAUGE, "items", "Most items that ever waited", ("queue",)),
    Metric("queue_dropped_total", COUNTER, "items", "Items dropped, queue full", ("queue",)),
    Metric("generation", GAUGE, "1", "The configuration's generation in force"),
    Metric("reloads_total", COUNTER, "reloads", "Reloads by result", ("result",)),
    Metric("rollbacks_by_guard_total", COUNTER, "reloads", "Reloads that the guard rolled back"),
    Metric("swap_pause_ms", GAUGE, "ms", "How long the newest swap held the engine up"),
    Metric("plugin_faults", GAUGE, "1", "Plugin of a role out of service", ("role",)),
    Metric("plugin_overruns_total", COUNTER, "calls", "Plugin calls over their time budget"),
    Metric("plugin_quarantines_total", COUNTER, "1", "Plugins taken out for overruns"),
)
