"""Runs side by side: rows of equal configurations, what separates them, and tables that say how sure that is."""
