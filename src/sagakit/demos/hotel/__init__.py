"""A hotel: guests with accounts, and groups that check out together, in three ways side by side."""
