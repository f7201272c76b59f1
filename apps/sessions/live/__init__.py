"""Delivery of the live log: the tail, the connections and what they are sent."""
