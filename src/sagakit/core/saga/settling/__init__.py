"""The steps of a saga that its code has sent: settled, given up, undone."""
