"""The event store on Elasticsearch: for a bureau that outgrew one machine (docs/decisions/0009)."""
