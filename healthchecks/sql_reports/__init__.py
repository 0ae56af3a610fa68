"""Database reports: every .sql file with a title is one, and a check like any other."""
