"""Serve: routes of `saasbot serve` (webhooks, health, pages, background jobs); parse, ask, answer, 5-15 lines each."""
