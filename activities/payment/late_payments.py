"""The payment service's steps for money that arrives late: ask about it, use it or give it back, inform the buyer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.payment.amounts import alarm, is_owed
from activities.payment.conversations import conversation
from activities.payment.remaining_money import RefundRefused, refund_rest
from db.payment import late_payments
from db.payment.attempts import Attempt, AttemptState
from domain.domain_events import LatePaymentSettled, LateSettlement, PaymentEvent, PaymentRefunded, PaymentVoided
from domain.payment_gateway import PaymentGateway
from domain.payments import (
    Intent,
    IntentState,
    LatePayment,
    PaymentError,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefundState,
)
from domain.problems import Refused

REFUND_REFUSED: Final = "RefundRefused"
"""The type of the error of `give_back` where a refund has failed for good; the next one has a key of its own."""


class LateMoney(StrEnum):
    """Whether an intent has money that no saga waits for."""

    NONE = "none"
    UNDECIDED = "undecided"
    THERE = "there"
    DIFFERS = "differs"  # it is there, but not of the amount and currency that are owed


class Settled(BaseModel):
    """What became of late money.

    Attributes:
        settlement: None where there was none, and so no mail is sent.
        seats: Where the buyer now sits, if anywhere.
    """

    model_config = ConfigDict(frozen=True)

    late: LatePayment
    user_id: UUID
    settlement: LateSettlement | None
    seats: tuple[str, ...] = ()


class LatePaymentActivities:
    """Each of them looks the intent up before it changes anything, so that it may be repeated.

    Args:
        engine: The payment service's database.
        gateways: By the providers' names.
        is_erased: Asks identity whether a person's account was erased.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        gateways: Mapping[str, PaymentGateway],
        is_erased: Callable[[UUID], Awaitable[bool]],
    ) -> None:
        self._engine = engine
        self._gateways = gateways
        self._is_erased = is_erased

    @activity.defn
    async def examine(self, late: LatePayment) -> LateMoney:
        """Ask the provider. What the booking's live attempt has taken, or an operator has given back, is no late money.

        The attempt is watched from here on, unless there is nothing to wait for.
        """
        async with conversation():
            attempt = await self._find(late)
            if await self._is_done(attempt):
                return LateMoney.NONE
            intent = await self._gateways[late.provider].retrieve(late.intent_id)
        money = await self._money(attempt, intent)
        if money is not LateMoney.NONE:
            async with self._engine.begin() as connection:
                await late_payments.watch(connection, attempt)
        return money

    async def _money(self, attempt: Attempt, intent: Intent) -> LateMoney:
        if intent.kept:
            if is_owed(attempt, intent):
                return LateMoney.THERE
            alarm(attempt, intent, "late payment")
            return LateMoney.DIFFERS
        waits_for_buyer = intent.state is IntentState.ACTION_REQUIRED and not await self._has_expired(attempt)
        undecided = waits_for_buyer or intent.state is IntentState.PROCESSING
        return LateMoney.UNDECIDED if undecided else LateMoney.NONE

    @activity.defn
    async def is_erased(self, user_id: UUID) -> bool:
        """Whether the buyer's account was erased; tried again while identity gives no proper answer."""
        try:
            return await self._is_erased(user_id)
        except Refused as refused:
            raise ConnectionError(refused.problem.detail) from refused  # a refusal would be final

    @activity.defn
    async def has_paid(self, late: LatePayment) -> bool:
        """Whether the attempt's money was taken for the booking."""
        return (await self._find(late)).state is AttemptState.CAPTURED

    @activity.defn
    async def take_up(self, late: LatePayment) -> bool:
        """Make the attempt the booking's live one again; False where another one lives.

        Raises:
            ApplicationError: An operator has given its money back since it was examined.
        """
        async with conversation():
            attempt = await self._find(late)
            async with self._engine.begin() as connection:
                if await late_payments.is_given_by_hand(connection, attempt):
                    raise ApplicationError("the money was given back by hand", type="GivenByHand", non_retryable=True)
                return await late_payments.take_up(connection, attempt)

    @activity.defn
    async def give_back(self, late: LatePayment) -> ProviderRefundState:
        """Void or refund, whichever the provider's own state calls for, so that nothing of the buyer's is kept.

        Returns:
            PENDING while the provider may still fail to give the money back; else SUCCEEDED.

        Raises:
            ApplicationError: The provider refuses the refund (`REFUND_REFUSED`).
        """
        async with conversation():
            attempt = await self._find(late)
            if await self._is_done(attempt):
                return ProviderRefundState.SUCCEEDED
            try:
                return await self._give_back(attempt, late.intent_id)
            except RefundRefused as refused:
                await self._mint(attempt)
                raise ApplicationError(str(refused), type=REFUND_REFUSED, non_retryable=True) from refused
            except (PaymentUnknown, PaymentRejected) as failure:
                # A refusal is saved under its key like any answer, and the intent may be elsewhere at the next try.
                if isinstance(failure, PaymentRejected) or failure.replayed:
                    await self._mint(attempt)
                raise PaymentUnknown(str(failure)) from failure

    async def _give_back(self, attempt: Attempt, intent_id: str) -> ProviderRefundState:
        gateway = self._gateways[attempt.provider]
        intent = await gateway.retrieve(intent_id)
        if intent.state is IntentState.CAPTURED:
            given = await refund_rest(gateway, intent, attempt, key=attempt.key("late-refund"))
            if given and given.state is ProviderRefundState.FAILED:
                raise RefundRefused(given.code or "the provider does not say why")
            if given and given.state is ProviderRefundState.PENDING:
                return given.state
            await self._close(attempt, AttemptState.REFUNDED, PaymentRefunded(**attempt.facts()))
            return ProviderRefundState.SUCCEEDED
        if intent.state is not IntentState.VOIDED:
            await gateway.void(intent.id, key=attempt.key("late-void"))
        await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()))
        return ProviderRefundState.SUCCEEDED

    @activity.defn
    async def note_late_by_hand(self, late: LatePayment) -> None:
        """Close the attempt because an operator has given its money back: it is neither used nor given back again.

        Where the provider says that all has gone back, that is enough. Else the operator's word is recorded.
        """
        intent = None
        async with conversation():
            attempt = await self._find(late)
            with suppress(PaymentError):
                intent = await self._gateways[late.provider].retrieve(late.intent_id)
        async with self._engine.begin() as connection:
            if intent and intent.state is IntentState.VOIDED and not intent.kept:
                await late_payments.close(connection, attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()))
                return
            if intent is None or intent.state is not IntentState.CAPTURED or intent.kept:
                await late_payments.note_by_hand(connection, attempt)
            await late_payments.close(connection, attempt, AttemptState.REFUNDED, PaymentRefunded(**attempt.facts()))

    @activity.defn
    async def settle(self, settled: Settled) -> None:
        """Stop watching the attempt, and inform the buyer, once, what became of the money."""
        attempt = await self._find(settled.late)
        event = None
        if settled.settlement:
            told = settled.model_dump(include={"user_id", "settlement", "seats"})
            event = LatePaymentSettled(**attempt.facts(), **told, exchange_id=attempt.exchange_id)
        async with self._engine.begin() as connection:
            await late_payments.settle(connection, attempt, event)

    async def _is_done(self, attempt: Attempt) -> bool:
        """Whether its money is the booking's, or was given back by an operator."""
        if attempt.state is AttemptState.CAPTURED:
            return True
        async with self._engine.connect() as connection:
            return await late_payments.is_given_by_hand(connection, attempt)

    async def _has_expired(self, attempt: Attempt) -> bool:
        lasts = self._gateways[attempt.provider].provider.page_lifetime
        if lasts is None:
            return False
        async with self._engine.connect() as connection:
            return await late_payments.is_older_than(connection, attempt, lasts)

    async def _find(self, late: LatePayment) -> Attempt:
        async with self._engine.connect() as connection:
            found = await late_payments.find(connection, late.provider, late.intent_id)
        if found is None:
            raise ValueError(f"no attempt has the intent {late.intent_id}")
        return found[0]

    async def _close(self, attempt: Attempt, state: AttemptState, event: PaymentEvent) -> None:
        async with self._engine.begin() as connection:
            await late_payments.close(connection, attempt, state, event)

    async def _mint(self, attempt: Attempt) -> None:
        async with self._engine.begin() as connection:
            await late_payments.mint_keys(connection, attempt)
