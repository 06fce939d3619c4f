"""Orders: triggers of both kinds, one that is asked now and then and one that the other side calls."""

from pydantic import BaseModel, Field

from integrations.sdk import (
    ApiKey,
    Hmac,
    Item,
    JSONValue,
    Polled,
    Provider,
    RunContext,
    Subscription,
    WebhookContext,
    WebhookRequest,
    polling,
    webhook,
)

shop = Provider(key="shop", name="Shop", base_url="https://api.shop.example/v1", auth=[ApiKey()])


class OrderInputs(BaseModel):
    region: str = Field(min_length=1, title="Region", examples=["north"])


@polling(provider=shop, key="shop.newOrder", name="New order", auth_type="api_key", input_schema=OrderInputs)
async def new_order(ctx: RunContext[OrderInputs], cursor: JSONValue) -> Polled:
    """Starts when an order is there that was not there before."""
    params = {"region": ctx.inputs.region, "since": cursor or ""}
    rows = (await ctx.http.get("orders", params=params)).raise_for_status().json()
    return Polled(items=[Item(row["id"], row) for row in rows], cursor=rows[-1]["created"] if rows else cursor)


async def subscribe(ctx: RunContext[OrderInputs], address: str, secret: str) -> Subscription:
    answer = await ctx.http.post("hooks", json={"url": address, "secret": secret, "region": ctx.inputs.region})
    return Subscription(id=str(answer.raise_for_status().json()["id"]))


async def unsubscribe(ctx: RunContext[OrderInputs], subscription: Subscription) -> None:
    # An empty id: nobody knows whether the hook was made. This API deletes by address too.
    gone = {"id": subscription.id} if subscription.id else {"url": subscription.address}
    (await ctx.http.delete("hooks", params=gone)).raise_for_status()


@webhook(
    provider=shop,
    key="shop.orderPaid",
    name="Order paid",
    auth_type="api_key",
    input_schema=OrderInputs,
    verify=Hmac(header="X-Shop-Signature"),
    delivery="X-Shop-Delivery",
    subscribe=subscribe,
    unsubscribe=unsubscribe,
)
def order_paid(ctx: WebhookContext[OrderInputs], request: WebhookRequest) -> list[Item]:
    """Starts when somebody pays an order."""
    return [Item(each["id"], each["order"]) for each in request.json()["events"] if each["kind"] == "paid"]
