"""Middleware of the whole product."""
