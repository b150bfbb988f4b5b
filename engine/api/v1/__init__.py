"""`/api/v1`: thin routes. Each parses a request, enters a company, and calls a service."""
