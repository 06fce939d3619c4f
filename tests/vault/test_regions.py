"""A provider with several regions: a credential names one, and its steps go there."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from integrations.providers.sendgrid import sendgrid
from integrations.registry import base_url_for, http_options, registry
from integrations.sdk import ApiKey, AuthError, DeclarationError, Provider
from orchestrator.errors import Invalid
from orchestrator.tenants.access import actor_for_user
from orchestrator.vault.services import credential_create, credential_update

EU = "https://api.eu.sendgrid.com"


def test_the_region_of_the_credential_is_where_steps_go_and_no_other_host_gets_it() -> None:
    action = registry.get("sendgrid.sendEmail")
    assert action is not None
    auth = {"provider": "sendgrid", "type": "api_key", "api_key": "k"}
    found = http_options(action, auth, {"region": "eu"}, {})
    assert (found["base_url"], found["auth_hosts"]) == (EU, (EU,))
    usual = http_options(action, auth, {}, {})
    assert (usual["base_url"], usual["auth_hosts"]) == ("https://api.sendgrid.com", ("https://api.sendgrid.com",))
    assert base_url_for(sendgrid, {"sendgrid": "http://127.0.0.1:1"}, {"region": "eu"}) == "http://127.0.0.1:1"
    with pytest.raises(AuthError, match="has no region 'mars'"):
        sendgrid.root({"region": "mars"})


@pytest.mark.django_db
def test_it_is_chosen_in_the_form_and_only_one_that_there_is_is_taken(client: Client, editor: User) -> None:
    actor = actor_for_user(editor, "acme")
    given = {"actor": actor, "provider": "sendgrid", "auth_type": "api_key", "secret": {"api_key": "SG.k"}}
    made = credential_create(name="mails", settings={"region": "eu"}, **given)
    assert made.settings == {"region": "eu"}
    assert credential_update(actor=actor, credential=made, settings={}).settings == {}
    with pytest.raises(Invalid) as refused:
        credential_create(name="more", settings={"region": "mars"}, **given)
    assert [each.path for each in refused.value.problems] == ["settings.region"]
    client.force_login(editor)
    page = client.get("/w/acme/credentials/new/?provider=sendgrid").content.decode()
    assert 'name="settings-region"' in page
    assert '<option value="eu">EU</option>' in page
    assert '<option value=""' in page


@pytest.mark.parametrize(
    ("regions", "more", "told"),
    [
        ({"eu": "http://api.eu.example.com"}, {"base_url": "https://api.example.com"}, "with an https:// root"),
        ({"E U": "https://api.eu.example.com"}, {"base_url": "https://api.example.com"}, "in snake_case"),
        ({"eu": "https://api.eu.example.com"}, {}, "needs a base_url"),
    ],
)
def test_a_region_that_is_none_is_not_declared(regions: dict[str, str], more: dict[str, str], told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        Provider(key="shop", name="Shop", auth=[ApiKey()], regions=regions, **more)
