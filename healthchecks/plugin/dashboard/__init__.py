"""The page: from results and history to HTML, without pytest."""
