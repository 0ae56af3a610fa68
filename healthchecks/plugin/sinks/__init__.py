"""What becomes of results. A sink takes Results and knows nothing of pytest; one that fails harms no other."""
