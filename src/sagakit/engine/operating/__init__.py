"""The operator's hands: what stands still and why, and what a person does about it."""
