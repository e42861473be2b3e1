"""The shop's processes over topics."""
