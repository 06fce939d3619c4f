"""Weather: the whole of a small integration."""

from typing import Any

from pydantic import BaseModel, Field

from integrations.sdk import ApiKey, Provider, RunContext, action

weather = Provider(
    key="weather",
    name="Weather",
    base_url="https://api.weather.example/v1",
    auth=[ApiKey(header="X-Api-Key")],
    tile="http",
)


class ForecastInputs(BaseModel):
    city: str = Field(min_length=1, title="City", examples=["Rotterdam"])
    days: int = Field(1, ge=1, le=7, title="Days ahead")


class ForecastOutput(BaseModel):
    temperature: float
    summary: str


@action(
    provider=weather,
    key="weather.forecast",
    name="Get the forecast",
    auth_type="api_key",
    input_schema=ForecastInputs,
    output_schema=ForecastOutput,
    idempotent=True,
)
async def forecast(ctx: RunContext[ForecastInputs]) -> dict[str, Any]:
    """Tomorrow's weather for a place."""
    answer = await ctx.http.get("forecast", params=ctx.inputs.model_dump())
    answer.raise_for_status()
    day = answer.json()
    return {"temperature": day["temp"], "summary": day["text"]}
