"""Made by `make proto`: not to be edited."""
