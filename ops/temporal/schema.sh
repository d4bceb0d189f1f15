#!/bin/sh
# Brings Temporal's two databases to the schema of this version: creates them, or migrates what is there.
set -eu
migrate() {
    tool="temporal-sql-tool --plugin postgres12 --ep postgres --port 5432 --user postgres --db $1"
    versions="/etc/temporal/schema/postgresql/v12/$2/versioned"
    # setup-schema sets the version back to 0.0, so it is only for a database that has none yet.
    $tool update-schema --schema-dir "$versions" && return
    $tool create || true
    $tool setup-schema --version 0.0
    $tool update-schema --schema-dir "$versions"
}
migrate temporal temporal
migrate temporal_visibility visibility
