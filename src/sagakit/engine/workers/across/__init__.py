"""What goes from one worker to another: deliveries, consumers' routes, withdrawals, words, operators' actions."""
