"""Everything that talks to other services: the SDK, the registry, our own steps, the library and the sandboxes."""
