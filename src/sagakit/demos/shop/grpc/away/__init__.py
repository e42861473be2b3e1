"""The modules of other processes, as the gateway has them: their commands are calls."""
