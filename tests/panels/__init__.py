"""The widgets, moved without a browser."""
