from pydantic import BaseModel, Field

from integrations.sdk import Account, ApiKey, AuthContext, Provider, RunContext, action


async def account(ctx: AuthContext) -> Account:
    return Account(label=str((await ctx.http.get("account")).raise_for_status().json_object().get("name", "")))


weather = Provider(key="weather", name="Weather", base_url="https://weather.example/v1", auth=[ApiKey(test=account)])


class ForecastInputs(BaseModel):
    city: str = Field(min_length=1, title="City", examples=["Rotterdam"])
    days: int = Field(1, ge=1, le=7, title="Days ahead", examples=[1])


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
    sample={"temperature": 17.5, "summary": "Rain"},
    idempotent=True,
)
async def forecast(ctx: RunContext[ForecastInputs]) -> ForecastOutput:
    """The weather of a place, some days ahead."""
    answer = await ctx.http.get("forecast", params=ctx.inputs.model_dump())
    return answer.raise_for_status().parsed(ForecastOutput)
