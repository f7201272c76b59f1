"""Starts the web and the workers as processes, keeps them alive and stops them in order."""
