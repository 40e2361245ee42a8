"""BastionMQ envelopes, written from `docs/envelope-format.md` alone: what the broker's own library is checked against."""
