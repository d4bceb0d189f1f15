"""How an event goes on sale: steps in two services' databases, of which none may be left out."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.catalogue.events import CatalogueActivities
    from activities.reservation.inventory import InventoryActivities
    from domain.catalogue import EventChange, EventStatus
    from temporal.policies import copy_of_places
    from temporal.queues import CATALOGUE
    from workflows.support.steps import service_step


@workflow.defn
class PublishEvent:
    """Copies a draft's places into the reservation service, then publishes it.

    A cancel may run beside it. Reservation keeps an event that was stopped from ever being put on sale, and the
    catalogue one that was cancelled from being published; whichever comes first, both end up cancelled.
    """

    @workflow.run
    async def run(self, change: EventChange) -> EventStatus:
        """The event's status afterwards: published, unless it was changed in between.

        It fails if the event has begun before its places are copied: the event stays a draft.
        """
        event = await service_step(CATALOGUE, CatalogueActivities.read_event, change.event_id, "read the event")
        if event.status is not EventStatus.DRAFT or change.if_version not in (None, event.version):
            return event.status
        await workflow.execute_activity_method(
            InventoryActivities.put_on_sale, event, summary="copy the places", **copy_of_places()
        )
        return await service_step(CATALOGUE, CatalogueActivities.mark_published, change, "publish it")
