"""What the platform around the calls does under load: retrieval in a large index, the API over many calls."""
