from integrations.providers.hello.actions import world
from integrations.sdk.testing import run_action


def test_it_greets_by_name() -> None:
    assert run_action(world, {"name": "Ada"}).output == {"message": "Hello Ada"}
