"""Faults against a real installation of its own, and whether every promise held."""
