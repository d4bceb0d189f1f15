"""The payment service's step of a refund: give money back once, and say for certain what became of it.

The provider's first answer is never taken for the end: whether money has gone back is what looking the refund up says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NoReturn
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.payment.amounts import check_refund
from activities.payment.conversations import conversation
from db.payment import attempts, provider_refunds, refund_requests, refunds
from db.payment.attempts import Attempt
from db.payment.refunds import SETTLED, Try, TryState
from domain.payment_gateway import PaymentGateway
from domain.payments import (
    GivenRefund,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
    RefundByProvider,
)

_STATES = {
    ProviderRefundState.PENDING: TryState.PENDING,
    ProviderRefundState.SUCCEEDED: TryState.SUCCEEDED,
    ProviderRefundState.FAILED: TryState.FAILED,
}

_WORST_FIRST = (ProviderRefundState.FAILED, ProviderRefundState.PENDING, ProviderRefundState.SUCCEEDED)
"""A part that failed is tried again at once, whatever becomes of the others; the whole has gone back when all have."""


_SUCCEEDED = ProviderRefundState.SUCCEEDED
_NO_MONEY = ProviderRefund(state=ProviderRefundState.FAILED, code="no_money_taken")


class GiveBack(BaseModel):
    """What to give back.

    Attributes:
        amount: Minor units of the booking's currency.
        number: Which try, from 1; the next one may begin only when this one, or a part of it, has failed.
        payments: From which payments of the booking: those of these exchanges, and with None its own. None as a whole
            in old histories: from all.
        accepted_at: When the refund was accepted; None in old histories.
    """

    model_config = ConfigDict(frozen=True)

    refund_id: UUID
    booking_id: UUID
    amount: int
    number: int
    payments: tuple[UUID | None, ...] | None = None
    accepted_at: AwareDatetime | None = None


class LearnRefunds(BaseModel):
    """Whose payments to check.

    Attributes:
        exchanges: The exchanges whose payments to check; None in it stands for the booking's own payment. A payment
            that is being undone is left out, because its refund is our own.
    """

    model_config = ConfigDict(frozen=True)

    booking_id: UUID
    exchanges: tuple[UUID | None, ...]


class RefundActivities:
    """The step that moves a refund's money."""

    def __init__(self, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway]) -> None:
        self._engine = engine
        self._gateways = gateways

    @activity.defn
    async def give_refund(self, order: GiveBack) -> GivenRefund:
        """Ask the provider to give the money back, or find out its state; a repeated call only asks.

        Before a try is opened, the provider is asked what it has given back without our request: only the rest goes.
        A provider that is down does not delay the parts of the others where all that is left goes back. Else which
        payment gives the money depends on what is left of each, so that its answer is waited for.

        The payment of an exchange that has failed is checked, too: an operator may have given it back in the dashboard.
        That is posted, and is no refund of the booking, which never owed that money.
        """
        async with conversation():
            async with self._engine.connect() as connection:
                opens = await refunds.opens_tries(connection, order.refund_id, order.number)
            if opens:
                captured = await self._captured(order.booking_id)
                away = await self._learn(captured)
                if away and (len(away) == len(captured) or await self._has_choice(order, captured)):
                    raise away[0]
            tries, by_provider = await self._open_tries(order)
            answers = await self._give_all(tries)
            if not answers:
                is_given = provider_refunds.total(by_provider) >= order.amount
                answers = [ProviderRefund(state=_SUCCEEDED) if is_given else _NO_MONEY]
            worst = min(answers, key=lambda answer: _WORST_FIRST.index(answer.state))
            if worst.state is _SUCCEEDED:
                async with self._engine.begin() as connection:
                    await refunds.owe_no_more(connection, order.refund_id, tries)
            amount = sum(each.amount.amount for each in tries)
            return GivenRefund(**worst.model_dump(exclude={"amount"}), amount=amount, by_provider=by_provider)

    async def _open_tries(self, order: GiveBack) -> tuple[list[Try], tuple[RefundByProvider, ...]]:
        async with self._engine.begin() as connection:
            by_provider = await provider_refunds.of_booking(connection, order.booking_id, order.payments)
            lacking = provider_refunds.total(by_provider)
            tries = await refunds.open_tries(
                connection, order.refund_id, order.booking_id, order.number, order.amount, lacking, order.payments
            )
            return tries, by_provider

    async def _has_choice(self, order: GiveBack, captured: Sequence[Attempt]) -> bool:
        """Whether the payments have more money left than the refund needs, so that not all of them have to give it."""
        left = 0
        async with self._engine.connect() as connection:
            for attempt in captured:
                if order.payments is None or attempt.exchange_id in order.payments:
                    left += attempt.amount.amount - await provider_refunds.ours(connection, attempt)
        return left > order.amount

    async def _captured(self, booking_id: UUID) -> list[Attempt]:
        async with self._engine.connect() as connection:
            return await attempts.captured(connection, booking_id)

    async def _learn(self, captured: Sequence[Attempt]) -> list[PaymentUnknown]:
        """Check each payment, also where the provider of another is down; returns why some could not be checked."""
        away = list[PaymentUnknown]()
        for attempt in captured:
            async with self._engine.connect() as connection:
                before = await provider_refunds.ours(connection, attempt)
            try:
                intent = await self._gateways[attempt.provider].retrieve(attempt.intent_id or "")
            except PaymentUnknown as unknown:
                away.append(unknown)
                continue
            async with self._engine.begin() as connection:
                await provider_refunds.learn(connection, attempt, intent.refunded, before)
        return away

    @activity.defn
    async def learn_provider_refunds(self, order: LearnRefunds) -> list[RefundByProvider]:
        """Find out what the provider has given back of a booking without our request; all of it, also from before."""
        async with conversation():
            captured = await self._captured(order.booking_id)
            away = await self._learn([each for each in captured if each.exchange_id in order.exchanges])
            if away:
                raise away[0]
            async with self._engine.connect() as connection:
                return list(await provider_refunds.of_booking(connection, order.booking_id, order.exchanges))

    async def _give_all(self, tries: Sequence[Try]) -> list[ProviderRefund]:
        """Each part is asked for, also where the provider of another is down.

        Raises:
            PaymentUnknown: The outcome of one of them is unknown.
            ApplicationError: One of them is of another amount than is owed. It counts neither as done nor as failed.
        """
        answers = list[ProviderRefund]()
        unknown: Exception | None = None
        for each in tries:
            try:
                answers.append(await self._give(each))
            except (PaymentUnknown, ApplicationError) as error:
                unknown = error
        if unknown:
            raise unknown
        return answers

    @activity.defn
    async def note_by_hand(self, order: GiveBack) -> GivenRefund | None:
        """Post what an operator has given back by hand, so that the ledger agrees with the provider again.

        What is known already as the provider's own refund is not posted once more. None in old histories.
        """
        async with self._engine.begin() as connection:
            by_provider = await provider_refunds.of_booking(connection, order.booking_id, order.payments)
            lacking = provider_refunds.total(by_provider)
            amount = await refunds.note_by_hand(
                connection,
                order.refund_id,
                order.booking_id,
                order.amount,
                lacking,
                order.payments,
                order.accepted_at,
            )
            return GivenRefund(state=_SUCCEEDED, amount=amount, by_provider=by_provider)

    @activity.defn
    async def take_back(self, refund_id: UUID) -> bool:
        """Find out whether a refund that had succeeded has failed after all, and post it; whether any part of it has.

        Repeated, what the rows say by then.
        """
        async with conversation():
            async with self._engine.connect() as connection:
                given = await refunds.succeeded(connection, refund_id)
            for each in given:
                now = await self._look_up(each)
                if now and now.state is ProviderRefundState.FAILED:
                    async with self._engine.begin() as connection:
                        await refunds.take_back(connection, each, now.code)
            async with self._engine.connect() as connection:
                return await refunds.is_owed(connection, refund_id)

    async def _give(self, given: Try) -> ProviderRefund:
        if given.state in SETTLED:
            return ProviderRefund(state=ProviderRefundState(given.state), code=given.code, provider=given.provider)
        answer = (await self._ask(given)).model_copy(update={"provider": given.provider})
        if answer.state is not ProviderRefundState.FAILED:
            check_refund(given.provider, given.intent_id, given.amount, answer)
        async with self._engine.begin() as connection:
            await refunds.note(connection, given, _STATES[answer.state], answer.code)
        return answer

    async def _ask(self, given: Try) -> ProviderRefund:
        known = None if given.is_new else await self._look_up(given)
        if known:
            return known
        gateway = self._gateways[given.provider]
        if gateway.quiet:
            await gateway.keep_turn()  # so that as little time as possible is between the note and the request
            await self._begin_asking(given, gateway.quiet)
        try:
            await gateway.refund(given.intent_id, given.amount, key=given.key)
        except (PaymentRejected, PaymentDeclined) as refused:
            state = ProviderRefundState.FAILED
            return await self._look_up(given) or ProviderRefund(state=state, code=refused.code, message=str(refused))
        except PaymentUnknown as unknown:
            if gateway.quiet:
                return await self._look_up(given) or _wait(given, gateway.quiet)
            if unknown.replayed and not await self._look_up(given):
                async with self._engine.begin() as connection:
                    await refund_requests.mint_key(connection, given)
            raise
        answer = await self._look_up(given)
        if answer is None:
            raise PaymentUnknown("the provider does not know the refund that it has just made")
        return answer

    async def _begin_asking(self, given: Try, quiet: timedelta) -> None:
        """Without idempotency keys nothing but time tells that an earlier request has ended without an effect."""
        async with self._engine.begin() as connection:
            wait = await refund_requests.begin_asking(connection, given, quiet)
        if wait:
            _wait(given, wait)

    async def _look_up(self, given: Try) -> ProviderRefund | None:
        return await self._gateways[given.provider].retrieve_refund(given.intent_id, key=given.key)


def _wait(given: Try, wait: timedelta) -> NoReturn:
    """Raises: ApplicationError: A request may still run. No seat waits for this, so the wait may be long."""
    message = f"a request to {given.provider} may still run"
    raise ApplicationError(message, type="PaymentUnknown", next_retry_delay=wait)
