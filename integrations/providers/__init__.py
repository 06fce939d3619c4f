"""The library: one folder a provider, none of which imports another."""
