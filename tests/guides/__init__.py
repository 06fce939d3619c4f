"""The guides for developers, followed line by line."""
