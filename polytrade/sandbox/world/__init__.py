"""What lives at the venue: hidden prices, markets that come and go, and those who trade them."""
