"""The code of a saga while it runs: its coroutines, and who of them waits for what."""
