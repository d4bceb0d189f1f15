#!/bin/sh
# Sees to it that the namespace exists and knows our search attributes; may be run again.
set -eu
temporal operator namespace describe --namespace default >/dev/null 2>&1 ||
    temporal operator namespace create --namespace default --retention 72h
for name in SeatwrightStatus SeatwrightEvent SeatwrightBooking; do
    # A namespace takes some seconds to be known everywhere.
    until temporal operator search-attribute list --namespace default | grep -q "$name"; do
        temporal operator search-attribute create --namespace default --name "$name" --type Keyword || sleep 1
    done
done
