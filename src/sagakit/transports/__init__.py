"""How messages travel between services: each transport is an adapter, imported when it is used."""
