"""Who runs: one engine after another, or several at once; their leases, words and Commits; how they come and go."""
