"""What django-q2 runs."""

from runs import driver


def drive() -> None:
    """Drive due runs for a slice of time."""
    driver.drive()
