"""The store on PostgreSQL."""

from sagakit.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
