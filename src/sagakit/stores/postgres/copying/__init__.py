"""A schema on PostgreSQL as one side of a copy."""

from sagakit.stores.postgres.copying.sides import postgres_source, postgres_target

__all__ = ["postgres_source", "postgres_target"]
