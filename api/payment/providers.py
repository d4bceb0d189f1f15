"""The payment providers over REST: by what an event may be paid, and how much each takes at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from adapters.payment.registry import PROVIDERS
from api.auth.guards import PUBLIC
from api.http.problems import documented
from domain.money import Currency
from domain.problems import ProblemType
from domain.providers import Provider

router = APIRouter(prefix="/v1/providers", tags=["payments"], dependencies=[PUBLIC])


class CurrencyBody(BaseModel):
    """What a provider takes of one currency; amounts are integer minor units."""

    currency: Currency = Field(description="ISO 4217 code.", examples=["EUR"])
    minimum: int = Field(description="The smallest amount of one payment.", examples=[50])
    maximum: int = Field(description="The largest amount of one payment.", examples=[99999999])
    step: int = Field(description="Only multiples of it can be paid.", examples=[1])


class ProviderBody(BaseModel):
    """A payment provider."""

    name: str = Field(description="Send it as `provider`.", examples=["stripe"])
    takes_payment_method: bool = Field(
        description="Whether a payment names a `payment_method`; otherwise the buyer chooses on the provider's page."
    )
    currencies: list[CurrencyBody] = Field(description="Sorted by code; only the one that was asked for, if one was.")


class ProvidersBody(BaseModel):
    """The payment providers, by name."""

    providers: list[ProviderBody]


@router.get(
    "", name="list_providers", summary="List payment providers", responses=documented(ProblemType.INVALID_REQUEST)
)
async def get_providers(
    currency: Annotated[Currency | None, Query(description="Only providers that take it.", examples=["EUR"])] = None,
) -> ProvidersBody:
    """Providers that take a currency. If the list is empty, an event in this currency can only have free places."""
    taking = [each for each in PROVIDERS.values() if currency is None or currency in each.currencies]
    return ProvidersBody(providers=[_body(each, currency) for each in sorted(taking, key=lambda each: each.name)])


def _body(provider: Provider, currency: str | None) -> ProviderBody:
    chosen = sorted(provider.currencies) if currency is None else [currency]
    return ProviderBody(
        name=provider.name,
        takes_payment_method=not provider.has_own_page,
        currencies=[_of(provider, each) for each in chosen],
    )


def _of(provider: Provider, currency: str) -> CurrencyBody:
    limits = provider.currencies[currency]
    return CurrencyBody(currency=currency, minimum=limits.minimum, maximum=limits.maximum, step=limits.step)
