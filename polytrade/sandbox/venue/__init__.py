"""The live venue over the wire: REST, sockets, authentication, faults, its own page."""
