"""Which worker owns what: who lives, who should have which share, how it is taken over and handed over."""
