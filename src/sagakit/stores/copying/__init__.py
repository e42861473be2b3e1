"""Copying a store to another kind of store: table by table, counted and digested on both sides."""
