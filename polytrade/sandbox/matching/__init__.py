"""The matching engine and the accounts: pure, exact, in integers; time and chance are passed in."""
