"""Hypercorn on trio, whose clients end their own connections and not the server.

Hypercorn lets some of what a client does end everything: leaving in the middle of a request's body
while it is being answered is one (two tasks then write to one stream). Importing this puts
`RestClient` in the place of hypercorn's own for every server of the process.
"""

from typing import Final

import hypercorn.trio
import hypercorn.trio.run
import trio
from hypercorn.trio.tcp_server import TCPServer


class RestClient(TCPServer):
    """One connection of hypercorn's."""

    async def run(self) -> None:
        """Serve the client until it leaves or breaks the protocol."""
        try:
            await super().run()
        except* (trio.BusyResourceError, trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(self.stream)


setattr(hypercorn.trio.run, "TCPServer", RestClient)  # noqa: B010 - it is no attribute of ours

serve_app: Final = hypercorn.trio.serve
"""`hypercorn.trio.serve` with such clients."""
