"""What a REST client does wrong ends its own connection, not the server.

Hypercorn lets some of it end everything: a client that leaves in the middle of a request's body
while it is being answered is one. Importing this puts `RestClient` in hypercorn's place for them.
"""

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


setattr(hypercorn.trio.run, "TCPServer", RestClient)  # noqa: B010
