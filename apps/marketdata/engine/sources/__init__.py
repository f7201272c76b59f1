"""Where market data comes from by itself: the port of a source, the built-in ones, guards around them."""
