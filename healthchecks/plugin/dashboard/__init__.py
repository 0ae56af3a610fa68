"""The page: from results and history to HTML. Knows nothing of pytest."""
