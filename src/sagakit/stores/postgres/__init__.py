"""The store on PostgreSQL: `store.PostgresStore`. The outbox beside it needs no driver of ours."""
