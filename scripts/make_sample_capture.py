#!/usr/bin/env python3
"""Generate the sample capture: invented markets, prices and flow in the raw capture format.

Same arguments, same bytes. Nothing in it was ever received from a venue; its header says so.
"""

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson

from polytrade.captures import CaptureHeader, CaptureRecord, write_capture
from polytrade.sandbox.sample import Sample

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_OUT = ROOT / "datasets" / "sample-updown-5m.jsonl.zst"


def statistics(records: list[CaptureRecord]) -> dict[str, object]:
    """Frames by source, market-channel messages by type, bytes of all frames."""
    frames: Counter[str] = Counter(record.source for record in records)
    messages: Counter[str] = Counter()
    for record in records:
        if record.source.startswith("polymarket.market/") and record.frame:
            body = orjson.loads(record.frame)
            for message in body if isinstance(body, list) else [body]:
                messages[message["event_type"]] += 1
    return {
        "records": len(records),
        "frames": dict(sorted(frames.items())),
        "messages": dict(messages.most_common()),
        "frame_bytes": sum(len(record.frame or "") for record in records),
    }


def main(argv: list[str] | None = None) -> int:
    """Write the capture; print what is in it."""
    parser = argparse.ArgumentParser(
        description="Generate the sample capture.",
        epilog="Example: python scripts/make_sample_capture.py --seed 7 --minutes 15",
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=int, default=15, help="a multiple of 5")
    parser.add_argument("--coins", default="btc,eth", help="of btc, eth, sol, xrp")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args(argv)
    try:
        sample = Sample(arguments.seed, arguments.minutes, tuple(arguments.coins.split(",")))
    except ValueError as error:
        parser.error(str(error))
    records = list(sample.records())
    created = datetime.fromtimestamp(sample.begin_s, UTC)
    header = CaptureHeader(
        created=f"{created:%Y-%m-%dT%H:%M:%SZ}",
        run_id=f"sample-{arguments.seed}",
        generated=True,
        note=f"invented by scripts/make_sample_capture.py --seed {arguments.seed} "
        f"--minutes {arguments.minutes} --coins {arguments.coins}",
    )
    write_capture(arguments.out, header, records)
    found = {"out": str(arguments.out), "bytes": arguments.out.stat().st_size}
    print(orjson.dumps(found | statistics(records), option=orjson.OPT_INDENT_2).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
