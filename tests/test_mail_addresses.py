"""Mail addresses as a person writes them."""

import pytest
from pydantic import TypeAdapter

from integrations.addresses import Addresses, Mailbox, one, parsed
from integrations.sdk import InputError

ADA, BOB = Mailbox("ada@example.com"), Mailbox("bob@example.com")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ada@example.com", [ADA]),
        (" ada@example.com , bob@example.com; ", [ADA, BOB]),
        ("ada@example.com\r\nbob@example.com\nada@example.com", [ADA, BOB]),
        ("<ada@example.com>", [ADA]),
        ("Ada Lovelace <ada@example.com>, bob@example.com", [Mailbox("ada@example.com", "Ada Lovelace"), BOB]),
        ('"Lovelace, Ada" < ada@example.com >', [Mailbox("ada@example.com", "Lovelace, Ada")]),
        (r'"Ada \"the first\"; L" <ada@example.com>', [Mailbox("ada@example.com", 'Ada "the first"; L')]),
        ("Grüße <grüße@exämple.com>", [Mailbox("grüße@exämple.com", "Grüße")]),
        ("ada+tag@example.com", [Mailbox("ada+tag@example.com")]),
        ("", []),
        (" , ;\n", []),
    ],
)
def test_addresses_are_parted_and_each_is_taken_once(text: str, found: list[Mailbox]) -> None:
    assert parsed(text, field="to", most=10) == found


@pytest.mark.parametrize(
    "text",
    [
        "ada",
        "ada@",
        "@example.com",
        "ada@example.com bob@example.com",
        "ada@example.com <bob@example.com",
        "Ada <ada@example.com> <bob@example.com>",
        "Ada <>",
        "<a@example.com, b@example.com>",
        '"Ada\nBcc: evil" <ada@example.com>',
        "Ada\x00 <ada@example.com>",
        "ada@exa\u2028mple.com",
        '"ada, bob@example.com',
        "a" * 65 + "@example.com",
    ],
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(text, field="cc", most=10)
    assert caught.value.field == "cc"


def test_no_more_are_taken_than_fit() -> None:
    many = ",".join(f"a{at}@example.com" for at in range(4))
    assert len(parsed(many, field="to", most=4)) == 4
    with pytest.raises(InputError, match="4 addresses are too many: at most 3"):
        parsed(many, field="to", most=3)


def test_one_is_one() -> None:
    assert one("Ada <ada@example.com>", field="from") == Mailbox("ada@example.com", "Ada")
    for text in ("", "ada@example.com, bob@example.com"):
        with pytest.raises(InputError):
            one(text, field="from")


def test_a_name_is_written_so_that_it_is_read_again() -> None:
    for mailbox in (ADA, Mailbox("ada@example.com", 'Love"lace\\, Ada')):
        assert parsed(str(mailbox), field="to", most=1) == [mailbox]


def test_a_list_of_an_earlier_step_is_taken_as_well() -> None:
    assert TypeAdapter(Addresses).validate_python(["a@b.c", "d@e.f"]) == "a@b.c, d@e.f"
